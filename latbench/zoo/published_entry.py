"""One published network: its layers, and where they and its accuracy were read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from latbench.errors import UsageError
from latbench.networks.network import Network, NetworkBuilder
from latbench.networks.resizing import Pixels, resized
from latbench.spaces import AnySpace, make_space, parse_space
from latbench.spaces.architecture import Architecture
from latbench.spaces.space_config import SpaceConfig
from latbench.spaces.variables import One

# Appends the layers for so many classes to a builder, and returns the index of the output.
LayersOf = Callable[[NetworkBuilder, int], int]


@dataclass(frozen=True)
class Accuracy:
    """A top-1 accuracy on the validation images of ImageNet in percent, and where it was read."""

    top1: float
    source: str


@dataclass(frozen=True)
class PublishedNetwork:
    """A network that was published under a name.

    ``resolution`` (pixels) and ``classes`` are those that it was published with, ``source`` is the
    repository that its layers were read in. The layers are appended by ``layers``; those of a
    network that lies in a space are the space's, ``space`` its text and ``architecture`` the
    published name or canonical text in it. Its ``accuracy`` is None where none was read.
    """

    name: str
    resolution: int
    source: str
    layers: LayersOf | None = None
    space: str = ""
    architecture: str = ""
    accuracy: Accuracy | None = None
    classes: int = 1000

    def network(
        self, resolution: int | Pixels | None = None, classes: int | None = None, batch: int = 1
    ) -> Network:
        """Builds the network for colour images; what is None is as published.

        A resolution is the height and width of a square image, or both of them.

        Raises UsageError for a size that is none, and for a resolution that the network cannot
        reduce as often as it does, or that is no option of its space.
        """
        if isinstance(resolution, tuple):
            return resized(self.network(None, classes, batch), self.name, pixels=resolution)
        pixels = self.resolution if resolution is None else resolution
        wanted = SpaceConfig(self.classes if classes is None else classes, pixels, batch=batch)
        if self.layers is None:
            return self._in_space(wanted)
        b = NetworkBuilder(wanted.input_shape)
        network = b.build(self.layers(b, wanted.classes))
        network.check_halves(self.name)
        return network

    def _in_space(self, wanted: SpaceConfig) -> Network:
        """Builds the architecture of a space at other settings."""
        identity = parse_space(self.space).identity()
        sizes = {
            "classes": wanted.classes, "resolution": wanted.resolution, "batch": wanted.batch,
        }  # fmt: skip
        space = make_space(identity["name"], identity["config"] | sizes)
        architecture = space.parse(self.architecture)
        return space.build(self._at_resolution(space, architecture, wanted.resolution))

    def _at_resolution(
        self, space: AnySpace, architecture: Architecture, resolution: int
    ) -> Architecture:
        """Returns the architecture at a resolution where that is a variable of the space."""
        code = list(architecture.code)
        for i, v in enumerate(space.forest.variables):
            if v.kind == "resolution" and isinstance(v, One):
                if str(resolution) not in v.options:
                    raise UsageError(
                        f"{self.name} lies in the space {space.name}, whose resolutions are "
                        f"{', '.join(v.options)}; got {resolution}"
                    )
                code[i] = v.options.index(str(resolution))
        return space.of(tuple(code))
