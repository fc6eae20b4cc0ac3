"""Every space keeps its contract, and one that does not is told so."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from own_spaces import Joined, small_blocks

from latbench.networks.network import Network
from latbench.spaces import AnySpace, darts, nasbench201
from latbench.spaces.architecture import Architecture
from latbench.spaces.cells.nasbench201_space import NasBench201Config, NasBench201Space
from latbench.testing import check_space

SPACES: list[AnySpace] = [
    darts(channels=4, cells=3), darts(channels=4, cells=3, least_inputs=1, most_inputs=5),
    darts(channels=4, cells=4, stem="imagenet"), nasbench201(channels=4, cells=1),
    small_blocks(), Joined(),
]  # fmt: skip


@pytest.mark.parametrize("space", SPACES, ids=str)
def test_every_space_keeps_the_contract(space: AnySpace) -> None:
    check_space(space)


def _text(self: Any, a: Architecture) -> str:
    return "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"


def _rank(self: Any, a: Architecture) -> int:
    return 0


NETWORK = SPACES[3].build(SPACES[3].reference())


def _build(self: Any, a: Architecture) -> Network:
    return NETWORK


def _counts(self: Any, many: Any) -> Any:
    return np.zeros((len(many), 4), np.float32)


def _sample(self: Any, seed: int, index: int) -> Architecture:
    return self.unrank(int(np.random.default_rng().integers(self.size)))  # type: ignore[no-any-return]


FAULTS: dict[str, tuple[str, Callable[..., Any], str]] = {
    "text": ("text", _text, "does not parse"),
    "rank": ("rank", _rank, "has another architecture than"),
    "build": ("build", _build, "has a supernet that gives another network"),
    "counts": ("counts_all", _counts, "counts something else"),
    "sample": ("sample", _sample, "draws another sample"),
    "drawing": ("drawing", lambda self, a: [], "draws nothing"),
    "layer_kinds": ("layer_kinds", lambda self: (), "builds a layer that it does not list"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    method, wrong, said = FAULTS[name]
    monkeypatch.setattr(NasBench201Space, "reference", lambda self: self.unrank(5))
    monkeypatch.setattr(NasBench201Space, method, wrong)
    with pytest.raises(AssertionError, match=re.escape(said)):
        check_space(NasBench201Space(NasBench201Config(channels=4, cells=1)))
