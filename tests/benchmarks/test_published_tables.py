"""HELP's tables as the benchmark reads them, against the plain arrays of their files."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def tables() -> Iterator[Any]:
    """The module ``published_tables``, which is of no package."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(FOLDER))
        yield import_module("published_tables")
        del sys.modules["published_tables"]


def data_folder() -> Path:
    """``shared/data``, which is beside some checkouts only."""
    for parent in FOLDER.parents:
        if (parent / "shared/data/help_nb201.npz").is_file():
            return parent / "shared/data"
    pytest.skip("there is no shared/data with HELP's tables beside this checkout")


@pytest.mark.parametrize(("name", "uncounted"), [("nb201", {"none"}), ("fbnet", set())])
def test_the_spaces_vectors_are_those_of_the_tables(
    tables: Any, name: str, uncounted: set[str]
) -> None:
    folder = data_folder()
    with np.load(folder / f"help_{name}.npz", allow_pickle=False) as z:
        raw = {key: z[key] for key in z.files}
    operations = raw["ops"].tolist()
    one_hot = raw["enc"][..., None] == np.arange(len(operations))
    counted = [operation not in uncounted for operation in operations]

    read = tables.load_space(folder, name)
    np.testing.assert_array_equal(read.X, one_hot.reshape(len(one_hot), -1))
    np.testing.assert_array_equal(read.X @ read.counts, one_hot.sum(1)[:, counted])
    assert list(read.latency) == raw["devices"].tolist()
    np.testing.assert_array_equal(np.stack([*read.latency.values()]), raw["latency_ms"])
    np.testing.assert_array_equal(read.references, raw["ref_idx"])
