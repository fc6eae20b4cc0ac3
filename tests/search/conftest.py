from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from latbench.search.images.images import ImageData, load_images


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def digits() -> ImageData:
    return load_images("digits", limit=64)
