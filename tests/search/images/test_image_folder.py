from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Generator, Tensor

from latbench.errors import ParseError
from latbench.search import SearchConfig, search
from latbench.search.images.image_folder import MEAN, STD
from latbench.search.images.images import augment, load_images
from latbench.spaces import nasbench201

Image = pytest.importorskip("PIL.Image")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes of plain colours: class a is red, class b is blue; 5 and 3 images."""
    for split, n in (("train", 5), ("val", 3)):
        for name, colour in (("a", (200, 0, 0)), ("b", (0, 0, 100))):
            (tmp_path / split / name).mkdir(parents=True)
            for i in range(n):
                image = Image.new("RGB", (40 + i, 30), colour)
                image.save(tmp_path / split / name / f"{i}.{'png' if i else 'JPEG'}")
    (tmp_path / "train" / "a" / "notes.txt").write_text("no image")
    return tmp_path


def test_images_are_read_when_asked_for(folder: Path) -> None:
    data = load_images(str(folder), resolution=16)
    assert (data.image_shape, data.classes) == ((3, 16, 16), 2)
    assert data.train_labels.tolist() == [0] * 5 + [1] * 5
    assert not isinstance(data.train_images, Tensor)
    found = data.train_images[torch.tensor([6, 1])]
    assert found.shape == (2, 3, 16, 16)
    colours = found.mean((2, 3)) * STD + MEAN
    torch.testing.assert_close(colours, torch.tensor([[0, 0, 100.0], [200, 0, 0]]) / 255)
    assert load_images(str(folder)).image_shape == (3, 224, 224)


def test_the_middle_is_cut_out(folder: Path) -> None:
    gradient = np.zeros((64, 128, 3), np.uint8)
    gradient[:, :, 0] = np.arange(128)
    Image.fromarray(gradient).save(folder / "val" / "a" / "0.png")
    data = load_images(str(folder), resolution=28)  # 28 of 64 pixels, each two wide
    paths = data.test_images.paths  # type: ignore[attr-defined]
    (image,) = data.test_images[torch.tensor([paths.index(folder / "val" / "a" / "0.png")])]
    red = (image[0] * STD[0] + MEAN[0]) * 255
    assert float(red.mean()) == pytest.approx(63.5, abs=0.6)
    assert float(red.max() - red.min()) == pytest.approx(54, abs=2)


def test_limit_and_fingerprint(folder: Path) -> None:
    data = load_images(str(folder), resolution=16, limit=4)
    assert data.train_images.shape == (4, 3, 16, 16)
    again = load_images(str(folder), resolution=16, limit=4)
    assert data.fingerprint() == again.fingerprint()
    whole = load_images(str(folder), resolution=16).fingerprint()
    assert data.fingerprint() != whole
    Image.new("RGB", (90, 90), (1, 2, 3)).save(folder / "val" / "a" / "1.png")
    assert load_images(str(folder), resolution=16).fingerprint() != whole


def test_broken_files_and_other_classes_are_named(folder: Path) -> None:
    broken = folder / "train" / "b" / "2.png"
    broken.write_bytes(broken.read_bytes()[:60])
    data = load_images(str(folder), resolution=16)
    with pytest.raises(ParseError, match=r"b.2\.png is not an image, or it is damaged"):
        data.train_images[torch.arange(10)]
    (folder / "val" / "c").mkdir()
    with pytest.raises(ParseError, match=r"train holds 2 classes and val 3.*difference: c"):
        load_images(str(folder))
    (folder / "train" / "c").mkdir()
    with pytest.raises(ParseError, match=r"c holds no image"):
        load_images(str(folder))


def test_crops_are_parts_of_the_image_at_its_size(folder: Path) -> None:
    data = replace(load_images(str(folder), resolution=16), flip=False)
    ramp = torch.arange(16.0).expand(200, 3, 16, 16)
    out = augment(ramp, data, Generator().manual_seed(0))
    assert out.shape == ramp.shape
    assert out.min() > -1e-4
    assert out.max() < 15 + 1e-4
    spans = out[:, 0, 0].max(1).values - out[:, 0, 0].min(1).values
    assert (out.diff(dim=3) >= -1e-4).all()  # still a ramp, flatter
    assert spans.min() < 6
    assert spans.max() > 13
    whole = augment(ramp, replace(data, least_area=1.0), Generator().manual_seed(0))
    torch.testing.assert_close(whole, ramp)


def test_a_search_takes_a_folder(folder: Path, tmp_path: Path) -> None:
    space = nasbench201(channels=4, cells=1, resolution=16, classes=2)
    config = SearchConfig(epochs=1, batch=4, channels=4, cells=1)
    data = load_images(str(folder), resolution=16)
    outcome = search(space, data, config, directory=tmp_path / "out")
    assert len(outcome.history) == 1


def test_at_another_size_files_are_read_at_that_size(folder: Path) -> None:
    data = load_images(str(folder), resolution=28)
    smaller = data.at(14)
    assert smaller.image_shape == (3, 14, 14)
    first = torch.tensor([0])
    assert torch.equal(smaller.test_images[first], load_images(str(folder), 14).test_images[first])
