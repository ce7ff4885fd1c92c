"""Activation: who may be sent where, the files of it, and their delivery."""

from include.activate.deliver import deliver_release
from include.activate.export import export_audiences

__all__ = ["deliver_release", "export_audiences"]
