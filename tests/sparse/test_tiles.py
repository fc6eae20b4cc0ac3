from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from latbench.errors import BackendError, ParseError
from latbench.models import Model, read_model, save_model
from latbench.networks.weights import make_weights
from latbench.sparse.libraries import can_be_had
from latbench.sparse.saved import open_sparse, save_sparse
from latbench.sparse.tiles import ENGINE, Tiles, fitting_tiles, loaded_in_tiles, with_tiles
from latbench.testing.networks import short_chain

pytestmark = pytest.mark.skipif(not can_be_had(), reason="there is no C++ compiler")


@pytest.fixture
def model() -> Model:
    network = short_chain()
    return Model("chain", network, make_weights(network))


def odd_tiles(model: Model, threads: int = 1) -> Tiles:
    """Tiles that no tuning would choose: those of one pixel."""
    with loaded_in_tiles(model, tune=False, threads=threads) as loaded:
        own = Tiles.of(loaded)
    steps = tuple((1, 1, 1) if rows else (0, 0, 0) for rows, _, _ in own.steps)
    return dataclasses.replace(own, steps=steps)


def test_a_network_is_loaded_in_the_tiles_that_its_model_has(tmp_path: Path, model: Model) -> None:
    chosen = odd_tiles(model)
    save_model(with_tiles(model, chosen), tmp_path / "m")
    kept = read_model(tmp_path / "m")
    assert fitting_tiles(kept) == chosen
    with loaded_in_tiles(kept) as loaded:
        assert Tiles.of(loaded) == chosen
    with loaded_in_tiles(kept, tune=False) as loaded:
        assert Tiles.of(loaded) != chosen  # the guess, the same for every model


def test_tiles_of_other_options_or_another_cpu_are_left(model: Model) -> None:
    chosen = odd_tiles(model)
    others: list[dict[str, Any]] = [
        {"device": "an old CPU"}, {"register": 2}, {"threads": 3}, {"group": 8},
    ]  # fmt: skip
    for other in others:
        kept = with_tiles(model, dataclasses.replace(chosen, **other))
        assert fitting_tiles(kept) is None
        with loaded_in_tiles(kept) as loaded:
            assert Tiles.of(loaded) != chosen


def test_one_choice_is_kept_for_each_cpu_and_options(model: Model) -> None:
    first = odd_tiles(model)
    two = odd_tiles(model, threads=2)
    other = dataclasses.replace(first, steps=((2, 1, 0), *first.steps[1:]))
    kept = with_tiles(with_tiles(model, first, two), other)
    assert fitting_tiles(kept) == other
    assert fitting_tiles(kept, threads=2) == two
    assert len(kept.tuned[ENGINE]) == 2
    assert other.digest != first.digest == dataclasses.replace(first).digest


def test_saving_for_the_engine_keeps_the_models_tiles(tmp_path: Path, model: Model) -> None:
    chosen = odd_tiles(model)
    save_sparse(with_tiles(model, chosen), tmp_path / "m", threads=(1, 2))
    kept = read_model(tmp_path / "m")
    assert fitting_tiles(kept) == chosen
    found = fitting_tiles(kept, threads=2)
    assert found is not None
    for tiles in (chosen, found):
        with open_sparse(tmp_path / "m", threads=tiles.threads) as opened:
            assert [tuple(step) for step in opened.tiles.tolist()] == list(tiles.steps)  # type: ignore[union-attr]
    # What is measured, and what is saved again, is what the file for the engine has.
    save_sparse(kept, tmp_path / "again", threads=(2,))
    assert fitting_tiles(read_model(tmp_path / "again"), threads=2) == found


def test_tiles_that_cannot_be_read_or_are_another_networks_are_refused(model: Model) -> None:
    chosen = odd_tiles(model)
    values = chosen.values()
    damages: list[Any] = [[{}], 5, [{**values, "steps": [[1, 2]]}]]
    damages.append([{**values, "steps": [[9**20] * 3]}])
    for damaged in damages:
        with pytest.raises(ParseError, match=r"saved with the model 'chain' cannot be .*; save it"):
            loaded_in_tiles(dataclasses.replace(model, tuned={ENGINE: damaged}))
    with pytest.raises(BackendError, match="these tiles are of another network"):
        loaded_in_tiles(with_tiles(model, dataclasses.replace(chosen, steps=chosen.steps[1:])))


def test_what_is_computed_does_not_depend_on_tiles(model: Model) -> None:
    images = model.input()
    with loaded_in_tiles(with_tiles(model, odd_tiles(model))) as odd, loaded_in_tiles(model) as own:
        assert np.allclose(odd(images), own(images), rtol=1e-4, atol=1e-5)
