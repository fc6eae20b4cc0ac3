"""The conformance suite as a pytest class; subclass it where your backend's tests are:

class TestMyBackend(BackendConformance):
    @pytest.fixture
    def backend(self):
        return MyBackend(threads=1)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from latbench.backends import availability_of
from latbench.backends.base import Backend
from latbench.networks.network import Network
from latbench.testing.backend_checks import CHECKS
from latbench.testing.conformance import make_setup


class BackendConformance:
    """One test for each check of ``check_backend``; needs a fixture ``backend``.

    ``rtol`` and ``networks`` may be set by the subclass and mean what they mean there. The checks
    in ``slow`` get pytest's mark of that name, for a runtime that takes minutes to compile. Where
    the backend is not ready, everything but the check on availability is skipped with the reason.
    """

    rtol: ClassVar[float | None] = None
    networks: ClassVar[Sequence[Network] | None] = None
    slow: ClassVar[Sequence[str]] = ()

    def pytest_generate_tests(self, metafunc: Any) -> None:
        """Makes one test a check; pytest calls it."""
        import pytest  # here, because only tests have it

        if "contract_check" in metafunc.fixturenames:
            marks = {name: [pytest.mark.slow] if name in self.slow else [] for name in CHECKS}
            checks = [pytest.param(name, marks=marks[name]) for name in CHECKS]
            metafunc.parametrize("contract_check", checks)

    def test_contract(self, backend: Backend, contract_check: str) -> None:
        """Checks that the backend passes the check."""
        found = availability_of(backend)
        if not found.ready and contract_check != "availability":
            import pytest  # here, because only tests have it

            pytest.skip(f"{backend.name} is not ready: {found.reason}")
        rtol = backend.tolerance if self.rtol is None else self.rtol
        CHECKS[contract_check](backend, make_setup(self.networks, rtol))
