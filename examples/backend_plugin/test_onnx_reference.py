"""Does it keep the contract? One test for each check of latbench.testing."""

import pytest
from latbench_onnx_reference import OnnxReference

from latbench.testing import BackendConformance


class TestOnnxReference(BackendConformance):
    """Run it with pytest where both packages are installed."""

    @pytest.fixture
    def backend(self) -> OnnxReference:
        """The backend with the options to be checked."""
        return OnnxReference()
