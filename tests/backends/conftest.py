from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch


@pytest.fixture(autouse=True)
def restore_process_state() -> Iterator[None]:
    """Backends own their process; the tests share one, so what they change is put back."""
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)
