"""The operators of a space at each of its layers, as networks of their own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from latbench.errors import UsageError
from latbench.models import Model
from latbench.networks.network import Network
from latbench.networks.supernet_ops import Mixed
from latbench.spaces import AnySpace
from latbench.spaces.open_number import open_names


@dataclass(frozen=True)
class Candidate:
    """An operator at a layer: the layer's variable, the option and its ``family``, see
    ``SearchSpace.family``, and what it computes."""

    layer: str
    operator: str
    family: str
    network: Network

    @property
    def runs(self) -> bool:
        """Returns whether anything is computed: an identity is not."""
        return len(self.network.layers) > 1


def candidates(space: AnySpace) -> list[Candidate]:
    """Returns every option of every layer that a space chooses an operator for, layer by layer;
    what an option chooses inside of itself is not looked at.

    Raises UsageError for a space without such layers, and for one whose operators depend on widths
    or resolutions, of which each would be many.
    """
    found = list(_candidates(space))
    if not found:
        raise UsageError(
            f"the space {space.name!r} chooses no operators, and so has no layers to find pools "
            "for; take one whose variables are operations"
        )
    return found


def _candidates(space: AnySpace) -> Iterator[Candidate]:
    for layer in space.supernet(search=False).layers:
        if not isinstance(layer.op, Mixed):
            continue
        options = space.forest[layer.op.variable].options
        for option, network in zip(options, layer.op.alternatives, strict=True):
            if names := open_names([one.shape for one in network.layers]):
                raise UsageError(
                    f"{layer.op.variable}={option} in the space {space.name!r} depends on "
                    f"{', '.join(names)}: name a space of one width and resolution"
                )
            yield Candidate(layer.op.variable, option, space.family(option), network)


def models_of(found: list[Candidate]) -> dict[Network, Model]:
    """Returns a model for each different network that computes something, named by the first layer
    and the operator that it is."""
    models: dict[Network, Model] = {}
    for one in found:
        if one.runs and one.network not in models:
            models[one.network] = Model(f"{one.layer}={one.operator}", one.network)
    return models
