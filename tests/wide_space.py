"""A space of 5^36, about 10^25, architectures: ``from wide_space import ...`` (see pyproject.toml).

A worker process imports it by ``in_workers``.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from latbench.errors import ParseError, quoted
from latbench.networks.blocks import classifier
from latbench.networks.network import Network, NetworkBuilder
from latbench.networks.ops import Conv
from latbench.spaces.base import Array, SearchSpace, SpaceConfig

WIDTHS, LAYERS = 5, 36


@dataclass(frozen=True)
class WideChain:
    """A chain of 1x1 convolutions: how much wider each is than the narrowest."""

    widths: tuple[int, ...]

    def __str__(self) -> str:
        return "-".join(map(str, self.widths))


class WideSpace(SearchSpace[WideChain, SpaceConfig]):
    """Chains of 36 convolutions, each of five widths."""

    name = "wide"

    def __init__(self, config: SpaceConfig | None = None) -> None:
        self.config = config or SpaceConfig(resolution=4)

    @property
    def size(self) -> int:
        return int(WIDTHS**LAYERS)

    def sample(self, seed: int, index: int) -> WideChain:
        drawn = self.generator(seed, index).integers(WIDTHS, size=LAYERS)
        return WideChain(tuple(drawn.tolist()))

    def parse(self, text: str) -> WideChain:
        if re.fullmatch(rf"([0-4]-){{{LAYERS - 1}}}[0-4]", text, re.ASCII) is None:
            raise ParseError(f"{quoted(text)} is no chain of {LAYERS} digits from 0 to 4")
        return WideChain(tuple(map(int, text.split("-"))))

    def build(self, architecture: WideChain) -> Network:
        b = NetworkBuilder(self.config.input_shape)
        x = b.input
        for width in architecture.widths:
            x = b.add(Conv(2 + width, 1), x)
        return b.build(classifier(b, x, self.config.classes))

    def one_hot(self, architecture: WideChain) -> Array:
        return np.eye(WIDTHS, dtype=np.float32)[list(architecture.widths)].ravel()

    def counts(self, architecture: WideChain) -> Array:
        return np.bincount(architecture.widths, minlength=WIDTHS).astype(np.float32)

    def reference(self) -> WideChain:
        return WideChain((2,) * LAYERS)

    def rank(self, architecture: WideChain) -> int:
        return sum(width * WIDTHS**i for i, width in enumerate(architecture.widths))

    def unrank(self, rank: int) -> WideChain:
        self.check_rank(rank)
        return WideChain(tuple(rank // WIDTHS**i % WIDTHS for i in range(LAYERS)))


WIDE = WideSpace()


def in_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets the processes that a test starts import this module."""
    known = os.environ.get("PYTHONPATH")
    places = [str(Path(__file__).parent), *filter(None, [known])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(places))
