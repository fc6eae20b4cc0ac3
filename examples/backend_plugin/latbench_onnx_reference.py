"""ONNX's reference evaluator, pure Python and NumPy, as a backend of latbench."""

from dataclasses import dataclass
from typing import Any, ClassVar

from onnx.reference import ReferenceEvaluator
from threadpoolctl import threadpool_limits

from latbench.backends.base import Availability, Backend, Session, installed, runtime_errors
from latbench.export.onnx import INPUT
from latbench.models import Model


@dataclass(frozen=True)
class OnnxReference(Backend):
    """Layer by layer on the CPU; ``threads`` is how many NumPy's matrix products use."""

    name: ClassVar[str] = "onnx-reference"
    threads: int = 1

    def availability(self) -> Availability:
        """Ready where onnx is installed."""
        return installed("onnx", "pip install onnx")

    def load(self, model: Model) -> Session:
        """An evaluator of the model in ONNX."""
        with runtime_errors(f"{self.name} cannot load the network"):
            threadpool_limits(self.threads, user_api="blas")
            return ReferenceSession(model)


class ReferenceSession(Session):
    """One model with its input; there is nothing to free."""

    def __init__(self, model: Model) -> None:
        self.evaluator = ReferenceEvaluator(model.onnx())
        self.feeds = {INPUT: model.input()}

    def run(self) -> None:
        """Returns when every layer is computed."""
        (self.result,) = self.evaluator.run(None, self.feeds)

    def outputs(self) -> Any:
        """The last run's result."""
        return self.result
