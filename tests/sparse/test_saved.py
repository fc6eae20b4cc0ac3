from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from latbench.errors import BackendError, UsageError
from latbench.models import Model, read_model
from latbench.networks.network import NetworkBuilder
from latbench.networks.ops import Conv, Elementwise, Flatten, GlobalAvgPool, Linear
from latbench.networks.weights import make_weights
from latbench.sparse import libraries
from latbench.sparse.compiling import SOURCES
from latbench.sparse.libraries import can_be_had, library, usable_sets
from latbench.sparse.running import LoadedNetwork, SparseNetwork
from latbench.sparse.saved import SPARSE_FILE, TorchNetwork, open_sparse, save_sparse
from latbench.testing.networks import UnknownOp, short_chain

pytestmark = pytest.mark.skipif(not can_be_had(), reason="there is no C++ compiler")


@pytest.fixture
def model() -> Model:
    network = short_chain()
    return Model("chain", network, make_weights(network))


def test_what_is_saved_runs_and_is_still_a_model(tmp_path: Path, model: Model) -> None:
    save_sparse(model, tmp_path / "chain", threads=(1, 2))
    images = np.concatenate([model.input(), 2 * model.input()])
    module = TorchNetwork(model)
    for threads in (1, 2, 3):
        with open_sparse(tmp_path / "chain", threads=threads) as opened:
            assert opened(images).shape == (2, 10)
            assert np.allclose(opened(images), module(images), rtol=1e-4, atol=1e-5)
    assert read_model(tmp_path / "chain") == model


def test_the_tiles_of_this_cpu_are_saved(
    tmp_path: Path, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    def tune(self: SparseNetwork) -> None:
        tiles = self.tiles
        tiles[tiles[:, 0] > 0] = (1, self.threads, 1)
        self.tiles = tiles

    monkeypatch.setattr(SparseNetwork, "tune", tune)
    save_sparse(model, tmp_path / "chain", group=8, threads=(1, 2))
    for threads in (1, 2):
        with open_sparse(tmp_path / "chain", threads=threads) as opened:
            assert isinstance(opened, LoadedNetwork)
            assert opened.tiles[0].tolist() == [1, threads, 1]
    with open_sparse(tmp_path / "chain", threads=3) as opened:
        assert isinstance(opened, LoadedNetwork)
        assert opened.tiles[0].tolist() not in ([1, 1, 1], [1, 2, 1])  # the guess


def test_a_c_program_runs_it(tmp_path: Path, model: Model) -> None:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("there is no C compiler")
    save_sparse(model, tmp_path / "chain")
    program = str(tmp_path / "example")
    engine = library(usable_sets()[0])
    command = [compiler, str(SOURCES / "example.c"), "-Wall", "-Werror", str(engine), "-o", program]
    subprocess.run(command, check=True)
    done = subprocess.run([program, tmp_path / "chain"], check=True, capture_output=True, text=True)
    with open_sparse(tmp_path / "chain") as opened:
        expected = opened(np.zeros_like(model.input()))
    assert np.allclose([float(v) for v in done.stdout.split()], expected[0], rtol=1e-4, atol=1e-5)
    for made in (False, True):  # a folder can be opened, and not be read
        if made:
            (tmp_path / "none").mkdir()
        failed = subprocess.run([program, tmp_path / "none"], capture_output=True, text=True)
        assert failed.returncode == 2
        assert failed.stderr.strip() == f"{tmp_path / 'none'} cannot be read"


def test_without_the_engine_torch_runs_it_and_says_so(
    tmp_path: Path, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_sparse(model, tmp_path / "chain")
    monkeypatch.setattr("latbench.sparse.saved.can_be_had", lambda: False)
    with pytest.warns(RuntimeWarning, match=r"no C\+\+ compiler.*as slowly as a dense network"):
        opened = open_sparse(tmp_path / "chain")
    assert isinstance(opened, TorchNetwork)
    assert np.array_equal(opened(model.input()), TorchNetwork(model)(model.input()))


@pytest.mark.parametrize("pixel", [False, True])
def test_vectors_are_taken_and_given_alike_by_the_engine_and_by_torch(
    tmp_path: Path, pixel: bool
) -> None:
    b = NetworkBuilder((1, 20, 1, 1) if pixel else (1, 20))
    network = b.build(b.add(Conv(7, 1) if pixel else Linear(7), b.input))
    model = Model("vectors", network, make_weights(network))
    save_sparse(model, tmp_path / "v")
    images = np.random.default_rng(0).normal(size=(3, 20)).astype(np.float32)
    with open_sparse(tmp_path / "v") as engine, TorchNetwork(model) as by_torch:
        for opened in (engine, by_torch):
            for given in (images, images.reshape(3, 20, 1, 1)):
                assert opened(given).shape == (3, 7)
                assert np.allclose(opened(given), engine(images), rtol=1e-4, atol=1e-5)
            for wrong in (images[:, :19], images.reshape(3, 4, 5), images.reshape(3, 5, 2, 2)):
                with pytest.raises(BackendError, match=r"the images have shape .* takes \(N, 20"):
                    opened(wrong)


def test_folders_without_it_and_damaged_files_are_refused(tmp_path: Path, model: Model) -> None:
    with pytest.raises(BackendError, match=r"there is no network.sparse in .*; save it with"):
        open_sparse(tmp_path)
    save_sparse(model, tmp_path / "chain")
    file = tmp_path / "chain" / SPARSE_FILE
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(BackendError, match="refused the network: the file is cut off"):
        open_sparse(tmp_path / "chain")
    file.write_bytes(b"LBSPARSE" + (2).to_bytes(4, "little") + bytes(100))
    with pytest.raises(BackendError, match="written by another version of latbench"):
        open_sparse(tmp_path / "chain")


def test_layers_without_code_are_named_and_nothing_is_written(tmp_path: Path) -> None:
    b = NetworkBuilder((1, 3, 8, 8))
    x = b.add(Elementwise("add"), b.add(UnknownOp(), b.add(Conv(8, 3), b.input)))
    network = b.build(b.add(Linear(3), b.add(Flatten(), b.add(GlobalAvgPool(), x))))
    with pytest.raises(UsageError, match=r"no code for layer 2 \(UnknownOp\)"):
        save_sparse(Model("odd", network, make_weights(network)), tmp_path / "odd")
    assert not (tmp_path / "odd").exists()


def test_the_cache_is_where_it_is_said_to_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(libraries.CACHE, str(tmp_path))
    assert libraries.cache_folder() == tmp_path
    monkeypatch.delenv(libraries.CACHE)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert libraries.cache_folder() == tmp_path / "latbench"
