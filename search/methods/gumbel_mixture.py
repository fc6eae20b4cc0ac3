"""FBNet (Wu et al., 2019, https://arxiv.org/abs/1812.03443).

The temperature begins at 5 and falls by exp(-0.045) = 0.956 in each of 90 epochs, section 4; that
another number of epochs ends as cold is ours. No preset: the authors' search code was not
published, and they searched on a tenth of ImageNet's classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from annotated_types import Gt, Lt

from latbench.errors import UsageError
from latbench.search.config import cooled
from latbench.search.methods.base import Method, check_one_resolution
from latbench.validation import COLDEST, Temperature

if TYPE_CHECKING:
    from torch import Generator

    from latbench.search.config import SearchConfig
    from latbench.search.relaxations.relaxation import Relaxation
    from latbench.spaces import AnySpace

Decay = Annotated[float, Gt(0), Lt(1)]


def check_coldest(method: str, temperature: float, decay: float | None, epochs: int) -> None:
    """Checks that a temperature does not fall so low that logits overflow.

    Args:
        method: The method's name.
        temperature: The temperature of the first epoch.
        decay: The temperature of each epoch over that of the one before, or None as in ``cooled``.
        epochs: The number of epochs.

    Raises:
        UsageError: When it does.
    """
    last = cooled(temperature, decay, epochs - 1, epochs)
    if last < COLDEST:
        raise UsageError(
            f"{method}'s temperature falls to {last:.2g} in {epochs} epochs, where its logits "
            f"overflow; it must stay at {COLDEST:g} or above: set decay nearer to 1, or the "
            "temperature higher"
        )


@dataclass(frozen=True)
class FBNet(Method):
    """A Gumbel-softmax over the options of every variable, all of which run.

    Its temperature is ``temperature`` in the first epoch and ``decay`` times as high in each that
    follows; without a ``decay`` it ends as cold, in any number of epochs, as 0.956 makes it in the
    published 90.
    """

    name: ClassVar[str] = "fbnet"
    temperature: Temperature = 5.0
    decay: Decay | None = None

    def relaxation(self, space: AnySpace, generator: Generator) -> Relaxation:
        """Makes the relaxation of FBNet."""
        from latbench.search.relaxations.fbnet_relaxation import FBNetRelaxation

        return FBNetRelaxation(space, generator, self.temperature, self.decay)

    def check(self, space: AnySpace, config: SearchConfig) -> None:
        """Raises UsageError for a space whose resolution is a variable, and for a temperature that
        falls too low."""
        check_one_resolution(self, space)
        check_coldest(self.name, self.temperature, self.decay, config.epochs)
