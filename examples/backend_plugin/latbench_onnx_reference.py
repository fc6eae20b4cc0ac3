"""ONNX's reference evaluator, pure Python and NumPy, as a backend of latbench."""

from dataclasses import dataclass
from typing import Any, ClassVar

from onnx.reference import ReferenceEvaluator
from threadpoolctl import threadpool_limits

from latbench.backends.base import Availability, Backend, Session, installed, runtime_errors
from latbench.export.onnx import INPUT, to_onnx
from latbench.networks.network import Network
from latbench.networks.weights import make_input


@dataclass(frozen=True)
class OnnxReference(Backend):
    """Layer by layer on the CPU; ``threads`` is how many NumPy's matrix products use."""

    name: ClassVar[str] = "onnx-reference"
    threads: int = 1

    def availability(self) -> Availability:
        """Ready where onnx is installed."""
        return installed("onnx", "pip install onnx")

    def load(self, network: Network) -> Session:
        """An evaluator of the network's ONNX model."""
        with runtime_errors(f"{self.name} cannot load the network"):
            threadpool_limits(self.threads, user_api="blas")
            return ReferenceSession(network)


class ReferenceSession(Session):
    """One network with its input; there is nothing to free."""

    def __init__(self, network: Network) -> None:
        self.evaluator = ReferenceEvaluator(to_onnx(network))
        self.feeds = {INPUT: make_input(network)}

    def run(self) -> None:
        """Returns when every layer is computed."""
        (self.result,) = self.evaluator.run(None, self.feeds)

    def outputs(self) -> Any:
        """The last run's result."""
        return self.result
