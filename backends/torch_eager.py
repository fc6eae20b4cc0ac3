"""PyTorch, layer by layer, without a compiler: what a model costs as it is written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

from latbench.backends.base import Session, runtime_errors
from latbench.backends.torch_session import TorchBackend, TorchModel, open_session
from latbench.models import Model


@final
@dataclass(frozen=True)
class TorchEager(TorchBackend):
    """A backend on PyTorch in inference mode; the options are those of every PyTorch backend."""

    name: ClassVar[str] = "torch-eager"

    def load(self, model: Model) -> Session:
        """Opens a session with the model's weights on the device."""
        with runtime_errors(f"{self.name} ({self.device}) cannot load the network"):
            return open_session(self, TorchModel(self, model))
