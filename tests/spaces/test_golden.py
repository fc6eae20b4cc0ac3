"""What the spaces gave before they stated themselves by variables and an assembly (2026-11-29).

``golden.json`` was written by the code of then (commit aa7f1e2): hashes of what 1,000 samples of
three seeds are, how they are encoded and numbered, and of what 40 networks consist of.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from latbench.spaces import AnySpace, make_space

GOLDEN: dict[str, Any] = json.loads((Path(__file__).parent / "golden.json").read_text())
SPACES: dict[str, tuple[str, dict[str, Any]]] = {
    "darts cifar": ("darts", {}),
    "darts imagenet": (
        "darts",
        {"stem": "imagenet", "channels": 48, "cells": 14, "classes": 1000, "resolution": 224},
    ),
    "darts small": ("darts", {"channels": 4, "cells": 3}),
    "nasbench201": ("nasbench201", {}),
    "nasbench201 small": ("nasbench201", {"channels": 4, "cells": 1}),
}
every_space = pytest.mark.parametrize("label", SPACES)


def space_of(label: str) -> AnySpace:
    name, config = SPACES[label]
    return make_space(name, config)


def digest(data: bytes | str) -> str:
    return hashlib.sha256(data.encode() if isinstance(data, str) else data).hexdigest()[:16]


@every_space
def test_samples_and_their_numbers(label: str) -> None:
    space, golden = space_of(label), GOLDEN[label]
    for seed, expected in enumerate(golden["samples"]):
        assert digest("\n".join(str(space.sample(seed, i)) for i in range(1000))) == expected
    first = space.with_sampler(1)
    samples = [str(first.sample(0, i)) for i in range(1000)]
    assert digest("\n".join(samples)) == golden["sampler 1"]
    drawn = [space.sample(0, i) for i in range(1000)]
    assert digest("\n".join(str(space.rank(a)) for a in drawn)) == golden["ranks"]
    assert digest("\n".join(str(space.canonical(a)) for a in drawn)) == golden["canonical"]
    assert (str(space.size), str(space.networks)) == (golden["size"], golden["networks"])
    assert str(space.reference()) == golden["reference"]


@every_space
def test_encodings(label: str) -> None:
    space, golden = space_of(label), GOLDEN[label]
    drawn = [space.sample(0, i) for i in range(1000)]
    one_hot = np.ascontiguousarray(space.one_hot_all(drawn))
    assert list(one_hot.shape) == golden["one_hot_shape"]
    assert digest(one_hot.tobytes()) == golden["one_hot"]
    assert digest(np.ascontiguousarray(space.counts_all(drawn)).tobytes()) == golden["counts"]


@every_space
def test_networks(label: str) -> None:
    space, golden = space_of(label), GOLDEN[label]
    networks = [space.build(space.sample(0, i)) for i in range(40)]
    assert digest("\n".join(repr(n.layers) for n in networks)) == golden["layers"]
    assert [n.parameters for n in networks[:10]] == golden["parameters"]
    kinds = sorted(map(repr, space.layer_kinds()))
    assert len(kinds) == golden["n_kinds"]
    assert digest("\n".join(kinds)) == golden["layer_kinds"]


@pytest.mark.parametrize("label", [label for label in SPACES if label.startswith("darts")])
def test_landmarks_of_training(label: str) -> None:
    space = space_of(label)
    for i, (edges, auxiliary, imagenet) in enumerate(GOLDEN[label]["landmarks"]):
        found = space.landmarks(space.sample(0, i))
        assert found is not None
        assert (list(found.edges), found.auxiliary, found.imagenet) == (edges, auxiliary, imagenet)
