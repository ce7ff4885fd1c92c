"""The quality gates: what must hold after every step, as suites in YAML that the engine evaluates."""

from include.quality.gate import GateStopped, run_gate
from include.quality.results import ExpectationResult, GateResult

__all__ = ["ExpectationResult", "GateResult", "GateStopped", "run_gate"]
