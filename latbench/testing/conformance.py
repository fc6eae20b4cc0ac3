"""The conformance suite for backends: the checks of the contract of latbench.backends.base.

    report = check_backend(MyBackend())
    report.raise_if_failed()

The checks are the functions of latbench.testing.backend_checks. All of them take a few seconds on a
CPU. They run in this process: what a backend changes in its process stays changed, and one that
crashes takes the caller with it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from latbench.backends import availability_of
from latbench.backends.base import Backend
from latbench.errors import BackendError, UsageError
from latbench.networks.network import Network
from latbench.testing.backend_checks import CHECKS, Setup
from latbench.testing.networks import default_networks


@dataclass(frozen=True)
class CheckResult:
    """The outcome of one check."""

    name: str
    passed: bool
    detail: str


@dataclass(frozen=True)
class ConformanceReport:
    """The outcome of every check."""

    backend: str
    results: tuple[CheckResult, ...]

    @property
    def passed(self) -> bool:
        """Returns whether every check passed."""
        return all(result.passed for result in self.results)

    @property
    def failures(self) -> tuple[CheckResult, ...]:
        """Returns the checks that did not pass."""
        return tuple(result for result in self.results if not result.passed)

    def raise_if_failed(self) -> None:
        """Raises BackendError naming every check that failed, and why."""
        if not self.passed:
            raise BackendError(f"{self.backend} breaks the contract of a backend\n{self}")

    def __str__(self) -> str:
        return "\n".join(
            f"{'pass' if r.passed else 'FAIL'}  {r.name}: {r.detail}" for r in self.results
        )


def check_backend(
    backend: Backend, *, networks: Sequence[Network] | None = None, rtol: float | None = None
) -> ConformanceReport:
    """Runs every check on ``backend`` and reports all outcomes.

    ``networks`` replace those whose outputs are compared with torch's (small ones of every space);
    ``rtol`` is the allowed difference as a share of the largest output; left out, it is the
    backend's own ``tolerance``. A backend that is not ready fails every check but the one on
    availability.
    """
    setup = make_setup(networks, backend.tolerance if rtol is None else rtol)
    ready = availability_of(backend).ready
    results = []
    for name, check in CHECKS.items():
        if ready or name == "availability":
            results.append(_result(name, check, backend, setup))
        else:
            results.append(CheckResult(name, False, "not run: the backend is not ready"))
    return ConformanceReport(backend.name, tuple(results))


def make_setup(networks: Sequence[Network] | None = None, rtol: float = 1e-4) -> Setup:
    """Makes the setup of ``check_backend``. Raises UsageError when there is no network to check."""
    if networks is None:
        return Setup(default_networks(), rtol)
    if not networks:
        raise UsageError("networks must not be empty; leave it out for the default ones")
    return Setup(tuple((f"networks[{i}]", n) for i, n in enumerate(networks)), rtol)


def _result(
    name: str, check: Callable[[Backend, Setup], str], backend: Backend, setup: Setup
) -> CheckResult:
    try:
        return CheckResult(name, True, check(backend, setup))
    except Exception as error:  # whatever it is, it is the finding
        kind = "" if isinstance(error, BackendError) else f"{type(error).__name__}: "
        return CheckResult(name, False, f"{kind}{error}")
