"""Images in folders, one a class, as ImageNet is kept: ``train/<class>/*.jpg``, ``val/<class>/*``.

Too many to hold, so each batch is read when it is asked for, by a few threads.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from latbench.device import usable_cores
from latbench.errors import ParseError, UsageError

# ImageNet's, as everyone uses them; a pass over all images only for this would take hours.
MEAN = torch.tensor([0.485, 0.456, 0.406])
STD = torch.tensor([0.229, 0.224, 0.225])
_SUFFIXES = (".jpg", ".jpeg", ".png")
_MARGIN = 256 / 224  # of the shorter side over the crop from its middle
_THREADS = min(16, usable_cores())


@dataclass(frozen=True)
class FolderImages:
    """A sequence of image files; ``images[indices]`` is ``(n, 3, resolution, resolution)``,
    standardised.

    The shorter side is resized to 256/224 of the resolution, and the middle cut out, as published
    for the evaluation on ImageNet.
    """

    paths: tuple[Path, ...]
    resolution: int

    @property
    def shape(self) -> tuple[int, ...]:
        """Returns the images' shape, ``(N, 3, H, W)``."""
        return (len(self.paths), 3, self.resolution, self.resolution)

    def __getitem__(self, indices: Tensor) -> Tensor:
        """Float32 images by their numbers. Raises ParseError naming a file that is broken."""
        chosen = [self.paths[i] for i in indices.tolist()]
        with ThreadPoolExecutor(_THREADS) as pool:
            pixels = list(pool.map(lambda path: _read(path, self.resolution), chosen))
        x = torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).float() / 255
        return (x - MEAN[:, None, None]) / STD[:, None, None]

    def fingerprint(self) -> str:
        """Returns a hash of every file's name and size (bytes), not of its contents."""
        digest = hashlib.sha256(str(self.resolution).encode())
        for path in self.paths:
            digest.update(f"{path.parent.name}/{path.name} {path.stat().st_size}\n".encode())
        return digest.hexdigest()


def _read(path: Path, resolution: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            image.draft("RGB", (2 * resolution, 2 * resolution))  # decodes a JPEG no finer
            rgb = image.convert("RGB")
    except (UnidentifiedImageError, OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ParseError(f"{path} is not an image, or it is damaged: {error}") from error
    scale = round(resolution * _MARGIN) / min(rgb.size)
    width, height = (max(resolution, round(side * scale)) for side in rgb.size)
    left, top = (width - resolution) // 2, (height - resolution) // 2
    resized = rgb.resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(resized.crop((left, top, left + resolution, top + resolution)))


def _files(folder: Path, classes: Sequence[str]) -> tuple[tuple[Path, ...], Tensor]:
    paths, labels = [], []
    for label, name in enumerate(classes):
        found = sorted(p for p in (folder / name).iterdir() if p.suffix.lower() in _SUFFIXES)
        if not found:
            raise ParseError(f"{folder / name} holds no image ({', '.join(_SUFFIXES)})")
        paths += found
        labels += [label] * len(found)
    return tuple(paths), torch.tensor(labels)


def read_folder(
    folder: Path, resolution: int, limit: int | None = None
) -> tuple[tuple[FolderImages, Tensor], tuple[FolderImages, Tensor]]:
    """Reads images and labels of ``train`` and of ``val``; classes are numbered by their names'
    order.

    ``limit`` as in ``load_images``. Raises ParseError when the two do not hold the same classes, or
    one holds no image, and UsageError without Pillow.
    """
    try:
        import PIL  # noqa: F401
    except ImportError as error:
        raise UsageError(
            "a folder of images needs Pillow; run: pip install 'latbench[images]'"
        ) from error
    splits = []
    train, val = (
        sorted(p.name for p in (folder / split).iterdir() if p.is_dir())
        for split in ("train", "val")
    )
    if not train or train != val:
        odd = sorted(set(train) ^ set(val))[:1] or ["none"]
        raise ParseError(
            f"{folder}: train holds {len(train)} classes and val {len(val)}; expected the same in "
            f"both, at least one (first difference: {odd[0]})"
        )
    for split in ("train", "val"):
        paths, labels = _files(folder / split, train)
        if limit is not None and limit < len(paths):
            chosen = np.random.default_rng(0).permutation(len(paths))[:limit]
            paths, labels = tuple(paths[i] for i in chosen), labels[torch.from_numpy(chosen)]
        splits.append((FolderImages(paths, resolution), labels))
    return splits[0], splits[1]
