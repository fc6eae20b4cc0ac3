"""Damaged files: stores, Parquet, predictors, models, checkpoints, images. 10,000 cases each.

A file that is refused is left as it is, and nothing is written beside it.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mutations import contents, damaged, fuzzing, read_or_refuse

from latbench.campaign import run_campaign
from latbench.errors import UsageError
from latbench.models import Model, read_model, save_model
from latbench.models.model_folder import NETWORK_FILE, WEIGHTS_FILE
from latbench.networks.weights import make_weights
from latbench.predictors import make_predictor
from latbench.predictors.model import LatencyModel
from latbench.search import checkpoint
from latbench.search.images.images import load_images
from latbench.spaces import nasbench201
from latbench.store import Store
from latbench.store.foreign import import_table
from latbench.store.parquet import export_parquet, import_parquet
from latbench.testing import CostModelBackend
from latbench.timing.protocol import Protocol

pytestmark = pytest.mark.fuzz
SPACE = nasbench201(channels=2, cells=1, resolution=4)
CIFAR = 1 + 3 * 32 * 32


class Files(dict[str, bytes]):
    """Contents by path, too long to print."""

    def __repr__(self) -> str:
        return f"{len(self)} files"


@pytest.fixture(scope="module")
def valid(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """A file of each kind, by name."""
    folder = tmp_path_factory.mktemp("valid")
    with Store(folder / "s.sqlite", SPACE) as store:
        run_campaign(store, CostModelBackend(), n=12, protocol=Protocol(min_visits=2, max_visits=2))
        export_parquet(store, folder / "s.parquet")
        for name in ("mlp", "lightgbm", "ridge-layers"):
            LatencyModel.fit(store.dataset(), make_predictor(name)).save(folder / name)
    network = SPACE.build(SPACE.reference())
    save_model(Model("m", network, make_weights(network)), folder / "model")
    tensors = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.zeros(1, dtype=torch.int64)}
    checkpoint.write(folder / "c.safetensors", tensors, {"history": [], "identity": {"x": 1}})
    images = np.zeros((4, 6, 6, 3), np.uint8)
    labels = np.arange(4)
    np.savez_compressed(folder / "i.npz", x_train=images, y_train=labels, x_test=images,
                        y_test=labels)  # fmt: skip
    texts = [str(SPACE.unrank(i)) for i in range(3)]
    np.savez_compressed(folder / "t.npz", arch=np.array(texts), devices=np.array(["a", "b"]),
                        latency_ms=np.ones((2, 3)))  # fmt: skip
    lines = [f"{text},{device},1.5" for text in texts for device in "ab"]
    (folder / "t.csv").write_text("\n".join(["architecture,device,latency_ms", *lines]))
    codes = {SPACE.unrank(i).code: np.float64(0.001 * (i + 1)) for i in range(9)}
    (folder / "t.pickle").write_bytes(pickle.dumps(codes))
    return Files(contents(folder))


def check(path: Path, data: bytes, read: Callable[[], Any]) -> None:
    """Reads a damaged file, which stays as it is when it is refused."""
    path.write_bytes(data)
    before = contents(path.parent)
    if not read_or_refuse(len(data), read):
        assert contents(path.parent) == before


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("damaged")


def read_store(path: Path) -> None:
    with Store(path) as store:
        for summary in store.sets():
            store.dataset(set_id=summary.id)


@fuzzing
@given(st.data())
def test_stores(valid: Files, folder: Path, data: st.DataObject) -> None:
    path = folder / "store" / "s.sqlite"
    path.parent.mkdir(exist_ok=True)
    for other in path.parent.iterdir():
        other.unlink()
    check(path, data.draw(damaged([valid["s.sqlite"]])), lambda: read_store(path))


@fuzzing
@given(st.data())
def test_parquet(valid: Files, folder: Path, data: st.DataObject) -> None:
    path, out = folder / "parquet" / "s.parquet", folder / "parquet" / "s.sqlite"
    path.parent.mkdir(exist_ok=True)
    out.unlink(missing_ok=True)
    check(path, data.draw(damaged([valid["s.parquet"]])), lambda: import_parquet(path, out))


@pytest.mark.parametrize("name", ["t.npz", "t.csv", "t.pickle"])
@fuzzing
@given(st.data())
def test_foreign_tables(valid: Files, folder: Path, name: str, data: st.DataObject) -> None:
    path, out = folder / "tables" / name, folder / "tables" / "s.sqlite"
    path.parent.mkdir(exist_ok=True)
    out.unlink(missing_ok=True)
    check(path, data.draw(damaged([valid[name]])), lambda: import_table(path, out, SPACE))


@pytest.mark.parametrize("name", ["mlp", "lightgbm", "ridge-layers"])
@pytest.mark.parametrize("file", ["card", "state"])
@fuzzing
@given(st.data())
def test_predictors(valid: Files, folder: Path, name: str, file: str, data: st.DataObject) -> None:
    own = {Path(path).name: of for path, of in valid.items() if Path(path).parts[0] == name}
    target = folder / f"{name}-{file}"
    target.mkdir(exist_ok=True)
    for other, of in own.items():
        (target / other).write_bytes(of)
    chosen = data.draw(
        st.sampled_from(sorted(n for n in own if (n == "card.json") == (file == "card")))
    )
    path = target / chosen

    def read() -> None:
        model = LatencyModel.load(target)
        model.predict([model.space.sample(0, 0)])

    check(path, data.draw(damaged([own[chosen]])), read)


@fuzzing
@given(st.data())
def test_checkpoints(valid: Files, folder: Path, data: st.DataObject) -> None:
    path = folder / "c.safetensors"
    check(path, data.draw(damaged([valid["c.safetensors"]])), lambda: checkpoint.read(path))


@pytest.mark.parametrize("file", [NETWORK_FILE, WEIGHTS_FILE])
@fuzzing
@given(st.data())
def test_models(valid: Files, folder: Path, file: str, data: st.DataObject) -> None:
    target = folder / f"model-{file}"
    target.mkdir(exist_ok=True)
    for name in (NETWORK_FILE, WEIGHTS_FILE):
        (target / name).write_bytes(valid[f"model/{name}"])
    changed = data.draw(damaged([valid[f"model/{file}"]]))
    check(target / file, changed, lambda: read_model(target))


@fuzzing
@given(st.data())
def test_npz_images(valid: Files, folder: Path, data: st.DataObject) -> None:
    path = folder / "npz" / "i.npz"
    path.parent.mkdir(exist_ok=True)
    check(path, data.draw(damaged([valid["i.npz"]])), lambda: load_images(str(path)))


@fuzzing
@given(st.data())
def test_cifar(folder: Path, data: st.DataObject) -> None:
    target = folder / "cifar"
    target.mkdir(exist_ok=True)
    names = [f"data_batch_{i}.bin" for i in range(1, 6)] + ["test_batch.bin"]
    for name in names:
        (target / name).write_bytes(bytes(2 * CIFAR))
    path = target / data.draw(st.sampled_from(names))
    check(path, data.draw(damaged([bytes(2 * CIFAR)])), lambda: load_images(str(target)))


def test_the_valid_files_are_read(valid: Files, tmp_path: Path) -> None:
    """Otherwise the damage would be to something that is refused anyway."""
    for name, data in valid.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(data)
    read_store(tmp_path / "s.sqlite")
    import_parquet(tmp_path / "s.parquet", tmp_path / "again.sqlite")
    for name in ("mlp", "lightgbm", "ridge-layers"):
        LatencyModel.load(tmp_path / name)
    checkpoint.read(tmp_path / "c.safetensors")
    read_model(tmp_path / "model")
    load_images(str(tmp_path / "i.npz"))
    with pytest.raises(UsageError, match="unknown image source"):
        load_images(str(tmp_path / "nothing"))
