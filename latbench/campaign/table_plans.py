"""The plan of a latency table: which networks it is made of, and in which tiles.

A plan is chosen once and kept in the store before anything is timed, so that a campaign that was
stopped goes on with the same networks in the same tiles.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from latbench.errors import DAMAGE, StoreError
from latbench.models import Model
from latbench.networks.weights import make_weights
from latbench.sparse.groups import drawn_groups, prunable_layers, with_groups
from latbench.sparse.latency_tables import DENSITIES, mixed_densities
from latbench.sparse.program import program_of
from latbench.sparse.tiles import Tiles, with_tiles
from latbench.store import Store
from latbench.store.table_rows import StoredTable

Kept = Mapping[int, int]  # groups by layers


@dataclass(frozen=True)
class TablePlan:
    """A plan: the name of the ``model`` whose network it is, the ``tiles``, where each layer is
    among the times of a row's ``steps``, and the groups that the layers keep in each network, by
    its text: in those of one density each (``densities``), and in those of ``mixed`` ones."""

    model: str
    tiles: Tiles
    steps: Mapping[int, int]
    densities: Mapping[str, Kept]
    mixed: Mapping[str, Kept]

    @classmethod
    def of(cls, model: Model, tiles: Tiles, held_out: int) -> TablePlan:
        """Makes the plan of a model's network, with so many networks of mixed densities."""
        program = program_of(model.network, make_weights(model.network))
        # The first of a row's times is the conversion of the input.
        places = {step.layers[0]: i for i, step in enumerate(program.steps, 1) if step.layers}
        steps = {layer: places[layer] for layer in prunable_layers(model.network)}
        kept = {str(one): groups for one, groups in table_networks(model, tiles, held_out)}
        texts = list(kept)
        return cls(
            model.name, tiles, steps,
            {text: kept[text] for text in texts[: len(DENSITIES)]},
            {text: kept[text] for text in texts[len(DENSITIES) :]},
        )  # fmt: skip

    @classmethod
    def read(cls, store: Store, stored: StoredTable) -> TablePlan:
        """Reads a plan. Raises StoreError where it cannot be read."""
        try:
            plan = stored.plan
            densities, mixed = (
                {str(text): _integers(kept) for text, kept in dict(plan[name]).items()}
                for name in ("densities", "mixed")
            )
            tiles = Tiles.from_values(plan["tiles"])
            return cls(str(plan["model"]), tiles, _integers(plan["steps"]), densities, mixed)
        except DAMAGE as error:
            raise StoreError(
                f"a latency table of set {stored.set_id} in {store.path} cannot be read ({error}); "
                "measure it into another store"
            ) from error

    def values(self) -> dict[str, Any]:
        """Returns it as JSON has it."""
        return {
            "model": self.model,
            "tiles": self.tiles.values(),
            "steps": _texts(self.steps),
            "densities": {text: _texts(kept) for text, kept in self.densities.items()},
            "mixed": {text: _texts(kept) for text, kept in self.mixed.items()},
        }


def _integers(values: Mapping[str, Any]) -> dict[int, int]:
    return {int(key): int(value) for key, value in dict(values).items()}


def _texts(values: Kept) -> dict[str, int]:
    return {str(key): value for key, value in values.items()}


def table_networks(model: Model, tiles: Tiles, held_out: int) -> Iterator[tuple[Model, Kept]]:
    """Makes the networks of a table, one after the other, each with the groups that its layers
    keep: those of one density, the whole network first, then ``held_out`` of mixed densities."""
    weights = make_weights(model.network)
    draws: list[tuple[str, float | dict[int, float], int]] = [
        (f"density {density:g}", density, 0) for density in DENSITIES
    ]
    draws += [
        (f"mixed densities {seed}", mixed_densities(model.network, seed), seed)
        for seed in range(held_out)
    ]
    for what, of, seed in draws:
        stays = drawn_groups(model.network, tiles.group, of, seed)
        left = with_groups(weights, stays, tiles.group)
        one = Model(f"{what} in tiles {tiles.digest}", model.network, left)
        yield with_tiles(one, tiles), {layer: int(groups.sum()) for layer, groups in stays.items()}
