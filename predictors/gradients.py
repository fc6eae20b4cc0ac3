"""Which predictors a search can differentiate, and what to do about one that it cannot."""

from __future__ import annotations

from latbench.errors import UsageError
from latbench.predictors import DIFFERENTIABLE


def has_gradient(name: str) -> bool:
    """Whether a search can use a compared predictor; one named twice is "mlp (2)"."""
    return name.split()[0] in DIFFERENTIABLE


def no_gradient(why: str) -> UsageError:
    """The error for a predictor without a gradient in the one-hot encoding."""
    return UsageError(
        f"this predictor has no gradient that a search could follow: {why}; use one of "
        f"{', '.join(DIFFERENTIABLE)} (`latbench compare` names the best of them), and let this "
        "one judge what is found (--judge)"
    )
