"""Saved networks of few weights: a model's folder with the engine's file in it.

What runs such a network needs neither this package's measuring nor torch: the engine reads the
file, from Python or from C (``engine/example.c``).
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Sequence
from pathlib import Path

from latbench.errors import BackendError, UsageError
from latbench.files import replacing
from latbench.models import Model, read_model, save_model
from latbench.networks.weights import Array
from latbench.sparse.libraries import NO_COMPILER, REMEDY, can_be_had, chosen_set, library
from latbench.sparse.program import Program, program_of
from latbench.sparse.running import LoadedNetwork, fitting_images, opened_library
from latbench.sparse.tiles import Tiles, loaded_in_tiles, with_tiles

SPARSE_FILE = "network.sparse"  # engine.cpp knows the name, too


def save_sparse(
    model: Model, folder: str | Path, *, group: int = 16, threads: Sequence[int] = (1,)
) -> None:
    """Saves a model as a folder that latbench and the engine read.

    The tiles that the model has with it for this CPU are saved, or the fastest ones, found now; one
    choice for each number of threads. latbench takes them on this CPU alone, the engine on any one
    with registers of this width; where there are none it takes a guess, or is told to tune.

    Args:
        model: The model; groups of its weights that are all zero will be skipped.
        folder: Where to; an older model there is replaced.
        group: How many filters make a group: 16, 8, 4, or 1, which skips single weights.
        threads: The numbers of threads to choose tiles for.

    Raises:
        UsageError: Where the folder holds anything else, and for a layer that the engine has no
            code for.
        BackendError: Where the engine cannot be had.
    """
    program = saveable(model)
    chosen = []
    for count in threads:
        with loaded_in_tiles(model, group=group, threads=count) as loaded:
            chosen.append(Tiles.of(loaded))
    save_model(with_tiles(model, *chosen), folder)
    tilings = tuple(
        (one.register, group, one.threads, 0, *itertools.chain(*one.steps)) for one in chosen
    )
    with replacing(Path(folder) / SPARSE_FILE) as fresh:
        fresh.write_bytes(program.to_bytes(group, tilings))


def saveable(model: Model) -> Program:
    """Returns the program of a model that can be saved. Raises UsageError for a layer that the
    engine has no code for."""
    program = program_of(model.network, model.arrays)
    if not program.plain:
        raise UsageError(
            f"{model.name} has not one input and one output of floats, (N, C, H, W) or (N, C), so "
            "that the engine's file cannot hold it; simd-sparse measures it all the same"
        )
    if program.foreign:
        layer = program.steps[program.foreign[0]].layers[0]
        kind = type(model.network.layers[layer].op).__name__
        raise UsageError(
            f"the engine has no code for layer {layer} ({kind}) of {model.name}, so that its file "
            "cannot hold it; torch computes such layers where simd-sparse measures a network, and "
            "its channels can be pruned (--method channels)"
        )
    return program


def open_sparse(folder: str | Path, *, threads: int = 1) -> LoadedNetwork | TorchNetwork:
    """Opens a network that ``save_sparse`` saved, to be called with images ``(N, C, H, W)``.

    Where the engine cannot be had, torch computes it, densely, and a warning says so.

    Args:
        folder: The saved network.
        threads: The threads of a run.

    Returns:
        The network.

    Raises:
        BackendError: For a folder without such a network, and for a file that is damaged.
    """
    file = Path(folder) / SPARSE_FILE
    if not file.is_file():
        raise BackendError(f"there is no {SPARSE_FILE} in {folder}; save it with save_sparse")
    if not can_be_had():
        warnings.warn(
            f"{NO_COMPILER}: torch runs {folder} now, as slowly as a dense network; {REMEDY}",
            RuntimeWarning, stacklevel=2,
        )  # fmt: skip
        return TorchNetwork(read_model(folder))
    lib = opened_library(str(library(chosen_set("auto"))))
    return LoadedNetwork(lib, lib.lb_open(str(file).encode(), 0, threads), threads)


class TorchNetwork:
    """A network that torch computes where the engine cannot be had; used in the same way."""

    def __init__(self, model: Model) -> None:
        """Makes the module of a model."""
        self._module = model.torch()
        self.input_shape = model.network.input_shape[1:]

    def __call__(self, images: Array) -> Array:
        """Computes the outputs ``(N, ...)`` of images ``(N, C, H, W)``, of the shapes that the
        engine takes and gives.

        Raises BackendError for images of another shape.
        """
        import torch

        with torch.inference_mode():
            given = torch.from_numpy(fitting_images(images, self.input_shape))
            result: Array = self._module(given).numpy()
        return result.reshape(result.shape[:2]) if result.shape[2:] == (1, 1) else result

    def close(self) -> None:
        """Does nothing: there is nothing to free at once."""

    def __enter__(self) -> TorchNetwork:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
