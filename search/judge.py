"""The cost of a derived architecture, by a predictor that needs no gradient."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from latbench.predictors.model import LatencyModel


class Judge:
    """A judge that predicts costs of single architectures, in the model's unit; each is computed
    once."""

    def __init__(self, model: LatencyModel) -> None:
        self.model = model
        self._known: dict[str, float] = {}

    def cost(self, architecture: Any) -> float:
        """Returns the predicted cost of an architecture; raises SpaceMismatchError for another
        space's."""
        text = str(architecture)
        if text not in self._known:
            self._known[text] = float(self.model.predict([architecture])[0])
        return self._known[text]

    def costs(self, architectures: Sequence[Any]) -> list[float]:
        """Returns the predicted costs of architectures. Raises as ``cost`` does."""
        if len(architectures) == 1:
            return [self.cost(architectures[0])]
        return [float(value) for value in self.model.predict(architectures)]

    def fingerprint(self) -> str:
        """Returns a text that changes with the predictor and what it was fitted on."""
        return self.model.card.model_dump_json()
