"""ONNX's reference evaluator, pure Python and NumPy, as a backend of latbench."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from onnx.reference import ReferenceEvaluator
from threadpoolctl import threadpool_limits

from latbench.backends.base import Availability, Backend, Session, installed, runtime_errors
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
    """One model with its inputs; there is nothing to free."""

    def __init__(self, model: Model) -> None:
        self.evaluator = ReferenceEvaluator(model.onnx())
        self.feeds = dict(zip(self.evaluator.input_names, model.inputs(), strict=True))

    def run(self) -> None:
        """Returns when every layer is computed."""
        self.results = self.evaluator.run(None, self.feeds)

    def outputs(self) -> Any:
        """The last run's result, or a tuple of several."""
        found = tuple(np.asarray(result, np.float32) for result in self.results)
        return found if len(found) > 1 else found[0]
