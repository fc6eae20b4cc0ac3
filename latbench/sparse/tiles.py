"""The tiles that a network's convolutions are computed in: chosen once, and kept with its model.

Which tiles are the fastest is found by timing them, so that two choices differ a little. A latency
table is of one choice, and describes what runs only where that runs in the same one. So a model
carries its tiles (``Model.tuned``), one choice for each CPU, width of registers, group and number
of threads; ``loaded_in_tiles`` takes them, and chooses where there are none.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from latbench.device.cpu import cpu_name
from latbench.errors import DAMAGE, ParseError, quoted
from latbench.files import content_hash
from latbench.models import Model
from latbench.sparse.running import SparseNetwork, register_of

ENGINE = "simd-sparse"  # the name of the backend, under which a model has its tiles


@dataclass(frozen=True)
class Tiles:
    """The tiles of a network's steps, and what they were chosen for.

    ``device`` is the name of the CPU, ``register`` how many floats one of its registers holds,
    ``group`` how many filters make a group, ``threads`` are those of a run. ``steps`` are three
    numbers a step of the engine (``LoadedNetwork.tiles``).
    """

    device: str
    register: int
    group: int
    threads: int
    steps: tuple[tuple[int, int, int], ...]

    @classmethod
    def of(cls, loaded: SparseNetwork) -> Tiles:
        """Returns the tiles that a network is computed in now."""
        steps = tuple((int(r), int(c), int(order)) for r, c, order in loaded.tiles)
        return cls(cpu_name(), loaded.register, loaded.group, loaded.threads, steps)

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> Tiles:
        """Makes tiles from what ``values`` gave. Raises one of ``latbench.errors.DAMAGE`` where
        they are none."""
        steps = tuple((int(r), int(c), int(order)) for r, c, order in values["steps"])
        register, group, threads = (int(values[n]) for n in ("register", "group", "threads"))
        found = cls(str(values["device"]), register, group, threads, steps)
        found.array()  # numbers that the engine's type does not hold are none
        return found

    def values(self) -> dict[str, Any]:
        """Returns them as JSON has them."""
        return {**dataclasses.asdict(self), "steps": [list(step) for step in self.steps]}

    @property
    def digest(self) -> str:
        """Returns 8 hexadecimal digits that change with the choice."""
        return content_hash(self.values())[:8]

    def suits(self, other: Tiles) -> bool:
        """Returns whether both were chosen for the same CPU, registers, group and threads."""
        return dataclasses.replace(self, steps=()) == dataclasses.replace(other, steps=())

    def array(self) -> np.ndarray[Any, np.dtype[np.int32]]:
        """Returns the steps' tiles as ``LoadedNetwork.tiles`` takes them."""
        return np.array(self.steps, np.int32).reshape(-1, 3)


def tiles_of(model: Model) -> tuple[Tiles, ...]:
    """Returns the tiles that a model has with it.

    Raises ParseError where they cannot be read.
    """
    try:
        return tuple(Tiles.from_values(values) for values in model.tuned.get(ENGINE, ()))
    except DAMAGE as error:
        raise ParseError(
            f"the tiles that are saved with the model {quoted(model.name)} cannot be read "
            f"({error}); save it again"
        ) from error


def with_tiles(model: Model, *chosen: Tiles) -> Model:
    """Returns a model that has tiles with it, in place of those for the same CPU, registers, group
    and threads."""
    kept = [t for t in tiles_of(model) if not any(t.suits(new) for new in chosen)]
    values = [t.values() for t in (*kept, *chosen)]
    return dataclasses.replace(model, tuned={**model.tuned, ENGINE: values})


def fitting_tiles(
    model: Model, *, group: int = 16, threads: int = 1, instructions: str = "auto"
) -> Tiles | None:
    """Finds the tiles that a model has with it for this CPU and some options.

    Args:
        model: The model.
        group: How many filters make a group.
        threads: The threads of a run.
        instructions: The set of instructions, as the backend's option.

    Returns:
        The tiles; None where it has none.

    Raises:
        ParseError: For tiles that cannot be read.
        UsageError: For instructions that the CPU does not have.
        BackendError: Where the engine cannot be had.
    """
    known = tiles_of(model)
    if not known:
        return None
    here = Tiles(cpu_name(), register_of(instructions), group, threads, ())
    return next((tiles for tiles in known if tiles.suits(here)), None)


def loaded_in_tiles(
    model: Model, *, group: int = 16, threads: int = 1, instructions: str = "auto",
    tune: bool = True,
) -> SparseNetwork:  # fmt: skip
    """Loads a network in the tiles that its model has with it for this CPU and these options.

    Args:
        model: The model.
        group: How many filters make a group.
        threads: The threads of a run.
        instructions: The set of instructions, as the backend's option.
        tune: Whether the fastest tiles are found where the model has none; without it they are a
            guess, and those of the model are left.

    Returns:
        The network.

    Raises:
        BackendError: As ``SparseNetwork`` raises it, and for tiles of another network.
        ParseError: For tiles that cannot be read.
    """
    known = fitting_tiles(model, group=group, threads=threads, instructions=instructions)
    loaded = SparseNetwork(
        model.network, model.arrays, group=group, threads=threads, instructions=instructions
    )
    try:
        if tune and known is not None:
            loaded.tiles = known.array()
        elif tune:
            loaded.tune()
    except BaseException:
        loaded.close()
        raise
    return loaded
