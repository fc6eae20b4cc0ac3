"""The tools for authors of backends and for tests without hardware.

- ``check_backend(backend)`` says whether a backend keeps the contract; ``BackendConformance`` is
  the same as a pytest class.
- ``check_space(space)`` and ``latbench.testing.predictor_checks.check_predictor`` do so for spaces
  and predictors.
- ``FakeBackend`` and ``CostModelBackend`` take their times from a formula. They stand in for a
  device in tests, never in a figure. ``ReplayBackend`` takes them from a store.
"""

from __future__ import annotations

from latbench.testing.backend_checks import CHECKS
from latbench.testing.conformance import (
    CheckResult,
    ConformanceReport,
    check_backend,
)
from latbench.testing.fake import CostModelBackend, FakeBackend
from latbench.testing.pytest_backends import BackendConformance
from latbench.testing.replay import ReplayBackend
from latbench.testing.space_checks import check_space

__all__ = [
    "CHECKS",
    "BackendConformance",
    "CheckResult",
    "ConformanceReport",
    "CostModelBackend",
    "FakeBackend",
    "ReplayBackend",
    "check_backend",
    "check_space",
]
