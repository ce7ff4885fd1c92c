"""The quality gates: what must hold after every step, as suites in YAML that the engine evaluates."""

from include.quality.gate import ExpectationResult, GateResult, GateStopped, run_gate

__all__ = ["ExpectationResult", "GateResult", "GateStopped", "run_gate"]
