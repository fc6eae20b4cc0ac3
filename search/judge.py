"""What a derived architecture costs, by a predictor that needs no gradient.

The penalty's predictor has one, and is seldom the most accurate. The difference is largest where a
search goes: networks of pools and skip connections share layers that a runtime runs once, which no
encoding of single choices can know. So gradients come from the one, and whether a target is kept
says the other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from latbench.predictors.model import LatencyModel


class Judge:
    """Predicted costs of single architectures, in the model's unit; each is computed once."""

    def __init__(self, model: LatencyModel) -> None:
        self.model = model
        self._known: dict[str, float] = {}

    def cost(self, architecture: Any) -> float:
        """Raises SpaceMismatchError for an architecture of another space."""
        text = str(architecture)
        if text not in self._known:
            self._known[text] = float(self.model.predict([architecture])[0])
        return self._known[text]

    def fingerprint(self) -> str:
        """Changes with the predictor and what it was fitted on."""
        return self.model.card.model_dump_json()
