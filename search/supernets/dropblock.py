"""Dropblock-Identity: blocks left out of what skip connections pass on, while searching.

MSG-DAS (Tan et al., 2021, https://arxiv.org/abs/2107.04324) steadies skip connections by it; of its
text only the abstract was available to us. What is dropped is that of DropBlock (Ghiasi et al.,
2018, https://arxiv.org/abs/1810.12890, section 3): squares of pixels, at a rate that makes the
share of dropped pixels about what is asked for, and the rest scaled up. Ours are one mask for all
channels of an image, a block that never reaches over the edge, and a rate that falls linearly to 0
over the search (the dropout on skip connections of P-DARTS falls as well:
https://arxiv.org/abs/1904.12760, section 3.3).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn


class DropBlock(nn.Module):
    """A map of which blocks are left out at ``rate``; as it is where that is 0, as at first.

    The number of pixels a side of a block is ``size``, and at most that of the map.
    """

    def __init__(self) -> None:
        super().__init__()
        self.rate, self.size = 0.0, 1
        self.stream: Generator | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Drops blocks of ``(N, C, H, W)``."""
        if self.rate == 0:
            return x
        height, width = x.shape[2:]
        down, across = min(self.size, height), min(self.size, width)
        # Places where a block's upper left corner may lie.
        places = (height - down + 1, width - across + 1)
        odds = self.rate * height * width / (down * across * places[0] * places[1])
        noise = torch.rand((len(x), 1, *places), generator=self.stream, device=x.device)
        corners = (noise < odds).to(x.dtype)
        padded = F.pad(corners, (across - 1, across - 1, down - 1, down - 1))
        kept = 1 - F.max_pool2d(padded, (down, across), stride=1)
        share = kept.sum(dtype=torch.float32).clamp_min(1) / kept.numel()
        return x * (kept / share).to(x.dtype)


@contextlib.contextmanager
def no_dropblock(module: nn.Module) -> Iterator[None]:
    """Runs a supernet as it is, without what ``set_dropblock`` set."""
    found = [m for m in module.modules() if isinstance(m, DropBlock)]
    rates = [one.rate for one in found]
    for one in found:
        one.rate = 0.0
    try:
        yield
    finally:
        for one, rate in zip(found, rates, strict=True):
            one.rate = rate


def held_blocks(module: nn.Module) -> Callable[[], None]:
    """Returns what makes the next pass of a supernet drop the blocks that a pass now would."""
    blocks = (m for m in module.modules() if isinstance(m, DropBlock))
    stream = next((one.stream for one in blocks), None)
    if stream is None:
        return lambda: None
    state, held = stream.get_state(), stream

    def again() -> None:
        held.set_state(state)

    return again


def set_dropblock(module: nn.Module, rate: float, size: int, stream: Generator | None) -> None:
    """Sets what every DropBlock of a supernet does until it is set again.

    Args:
        module: The supernet.
        rate: The share of pixels to leave out; 0 for none.
        size: The pixels a side of a block.
        stream: What draws, on the supernet's device.
    """
    for one in module.modules():
        if isinstance(one, DropBlock):
            one.rate, one.size, one.stream = rate, size, stream
