"""A space of 5^36, about 10^25, architectures: ``from wide_space import ...`` (see pyproject.toml).

A worker process imports it by ``in_workers``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from latbench.errors import ParseError, quoted
from latbench.networks.blocks import classifier
from latbench.networks.ops import Conv
from latbench.spaces.architecture import Architecture
from latbench.spaces.assembly import Assembler
from latbench.spaces.base import SearchSpace
from latbench.spaces.space_config import SpaceConfig
from latbench.spaces.variables import One, Variable

WIDTHS, LAYERS = 5, 36


class WideSpace(SearchSpace[SpaceConfig]):
    """Chains of 36 convolutions, each of five widths; its text has a digit for each."""

    name = "wide"

    def __init__(self, config: SpaceConfig | None = None) -> None:
        self.config = config or SpaceConfig(resolution=4)

    def variables(self) -> Iterator[Variable]:
        for i in range(LAYERS):
            yield One(f"width{i}", tuple(str(2 + k) for k in range(WIDTHS)), kind="width")

    def assemble(self, b: Assembler) -> int:
        x = b.input
        for i in range(LAYERS):
            x = b.add(Conv(b.number(f"width{i}"), 1), x)
        return classifier(b, x, self.config.classes)

    def text(self, architecture: Architecture) -> str:
        return "-".join(map(str, architecture.code))

    def parse(self, text: str) -> Architecture:
        if re.fullmatch(rf"([0-4]-){{{LAYERS - 1}}}[0-4]", text, re.ASCII) is None:
            raise ParseError(f"{quoted(text)} is no chain of {LAYERS} digits from 0 to 4")
        return self.of(tuple(map(int, text.split("-"))))


WIDE = WideSpace()


def in_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets the processes that a test starts import this module."""
    known = os.environ.get("PYTHONPATH")
    places = [str(Path(__file__).parent), *filter(None, [known])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(places))
