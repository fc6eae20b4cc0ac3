"""The base of spaces of chains: their configuration, and how an architecture is drawn.

A chain is stages of blocks, one behind the other. The variables of a block are called by the
block, ``"3.1"`` (the first one of stage 3, say) or ``"3.1.kernel"``; its assembly marks the block's
last layer by the same name, ``b.mark("3.1", y)``, which is all that a drawing asks for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType
from typing import Any, ClassVar, TypeVar

from latbench.errors import UsageError
from latbench.networks.mobile_blocks import divisible
from latbench.networks.ops import Shape
from latbench.spaces.architecture import Architecture
from latbench.spaces.assembly import Concrete
from latbench.spaces.base import SearchSpace
from latbench.spaces.drawing import ChainGraph, ChainStep
from latbench.spaces.space_config import SpaceConfig
from latbench.spaces.variables import Some, Variable
from latbench.text import JOINED


@dataclass(frozen=True)
class ChainConfig(SpaceConfig):
    """The settings of a space of chains; the defaults are those of ImageNet.

    ``width`` multiplies all widths, rounded to multiples of 8 as
    ``latbench.networks.mobile_blocks.divisible`` does; 1 leaves the published ones. Raises
    UsageError, too, for a resolution that the strides of 2 cannot halve.
    """

    width: float = 1.0
    classes: int = 1000
    resolution: int = 224

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.width <= 16:
            raise UsageError(f"width must be above 0 and at most 16, got {self.width:g}")
        check_pixels(self, self.halvings())

    def halvings(self) -> int:
        """Returns how often the space's networks halve an image."""
        return 5

    def channels(self, published: int) -> int:
        """Returns a published number of channels times ``width``, rounded."""
        return published if self.width == 1 else divisible(published * self.width)


def check_pixels(config: SpaceConfig, halvings: int) -> None:
    """Raises UsageError where a stage would have to halve an image of one pixel: of the least of
    ``resolutions``, where a configuration has those, else of ``resolution``."""
    least = 2 ** (halvings - 1) + 1 if halvings else 1
    options = getattr(config, "resolutions", None)
    name, got = "resolution", config.resolution
    if options is not None:
        name, got = "resolutions", min(options)
    if got < least:
        raise UsageError(
            f"{name} must be {least} pixels or more, since the networks halve an image {halvings} "
            f"times, got {got}"
        )


def check_rising(config: SpaceConfig, *names: str) -> None:
    """Raises UsageError unless the values of these settings are in rising order, each once, as the
    options of variables are."""
    for name in names:
        values = getattr(config, name)
        if any(a >= b for a, b in pairwise(values)):
            raise UsageError(
                f"{name} must be in rising order, each once, got ({' '.join(map(str, values))})"
            )


C = TypeVar("C", bound=SpaceConfig)
# The kinds of variables that a drawing shows as a step's channels and size, or as a step.
SHOWN = ("width", "depth", "resolution")


class ChainSpace(SearchSpace[C]):
    """A space of chains; a subclass states variables and assembly, and marks its blocks."""

    # Of the published networks, those that are at other settings than ``width=1`` alone.
    published_settings: ClassVar[Mapping[str, Mapping[str, Any]]] = MappingProxyType({})

    @classmethod
    def settings_of(cls, name: str) -> Mapping[str, Any]:
        """Returns a ``width`` of 1 and the name's ``published_settings``."""
        return {"width": 1.0, **cls.published_settings.get(name, {})}

    def input_shape(self, number: Callable[[str], int]) -> Shape:
        """Returns the shape of an input, of the size that an architecture chooses where the
        configuration has ``resolutions``."""
        if not hasattr(self.config, "resolutions"):
            return self.config.input_shape
        size = number("resolution")
        return (self.config.batch, self.config.in_channels, size, size)

    def sample(self, seed: int, index: int) -> Architecture:
        """Draws every choice that there is uniformly, depths before what stands in them.

        Uniform over architectures, a stage would nearly always be as deep as it can be, since each
        block more multiplies the number of architectures: all but one in ten in Once-for-all.
        """
        rng, variables = self.generator(seed, index), self.forest.variables

        def drawn(i: int) -> int:
            v = variables[i]
            values = v.sets if isinstance(v, Some) else range(len(v.options))
            return values[int(rng.integers(len(values)))]

        return self.of(self.forest.grow(drawn))

    def drawing(self, architecture: Architecture) -> list[ChainGraph]:
        """Returns the blocks one behind the other, each with what was chosen for it, its channels
        and its size in pixels."""
        b = Concrete(self, architecture)
        output, values = self.assemble(b), architecture.values()
        steps = [ChainStep("input", "", b.shape(0)[1], b.shape(0)[2])]
        for name, (index, *_) in sorted(b.marks.items(), key=lambda item: item[1]):
            own = [k for k in values if k == name or k.startswith(f"{name}.")]
            said = " ".join(filter(None, (_said(self.forest[k], values[k]) for k in own)))
            steps.append(ChainStep(name, said, *b.shape(index)[1:3]))
        steps.append(ChainStep("output", "", b.shape(output)[1], 1))
        return [ChainGraph("Chain", tuple(steps))]


def _said(v: Variable, value: str | tuple[str, ...]) -> str:
    """How a block's drawing says what was chosen: ``"k5"``, ``"e6"``, ``"se"``; nothing of what it
    shows in other ways, and of what was left out."""
    if v.kind in SHOWN or value == "off":
        return ""
    text = value if isinstance(value, str) else JOINED.join(value)
    if v.kind in ("kernel", "expansion") and text.isdigit():
        return f"{v.kind[0]}{text}"
    return v.kind if text == "on" else text
