"""``latbench search`` in spaces of chains: widths and resolutions by masks, λ and limits, and two
backends at once."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from latbench.predictors import make_predictor
from latbench.predictors.model import LatencyModel
from latbench.spaces import parse_space
from latbench.store.dataset import LatencyDataset
from latbench.testing.fake import CostModelBackend

Cli = Callable[..., tuple[int, str, str]]
SMALL = "fbnetv2(width=0.25, head=32, most_blocks=1, in_channels=1, classes=10, resolution=18{})"
SIZES = ", resolutions=(17 20)"
QUICK = tuple(
    part
    for text in ("epochs=3", "batch=16", "alpha_learning_rate=0.3")
    for part in ("--setting", text)
)


@pytest.fixture
def images(tmp_path: Path) -> str:
    """The name of a file of noise, where the command line runs."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 255, (48, 18, 18)).astype(np.uint8)
    labels = np.arange(48) % 10
    np.savez(tmp_path / "d.npz", x_train=pixels[:32], y_train=labels[:32], x_test=pixels[32:],
             y_test=labels[32:])  # fmt: skip
    return "d.npz"


def rows(result: tuple[int, str, str]) -> list[dict[str, Any]]:
    code, out, err = result
    assert code == 0, err
    found: list[dict[str, Any]] = json.loads(out)
    return found


def test_masks_pay_for_two_backends_at_once(cli: Cli, images: str) -> None:
    """By predictors that are sums over layers: the larger λ, the cheaper on both."""
    space, both = parse_space(SMALL.format(SIZES)), list[str]()
    sample = tuple(a for _, a in space.unique_samples(0, 24))
    for name, formula in (("macs", CostModelBackend(s_per_mac=1e-8)),
                          ("layers", CostModelBackend(s_per_layer=1e-4))):  # fmt: skip
        values = np.array([formula.latency_s(space.build(a)) for a in sample])
        data = LatencyDataset(space, sample, values, name, "device")
        LatencyModel.fit(data, make_predictor("ridge-layers")).save(name)
        both += ["--model", name]

    def found(how: str, *goal: str) -> dict[str, Any]:
        command = ("search", *both, "--method", "dmasking", "--data", images, *QUICK)
        (row,) = rows(cli(*command, "--together", how, *goal, "--out", "-".join(goal), "--json"))
        return row

    free, priced = (found("worst", "--penalty-weight", weight) for weight in ("0", "50"))
    assert priced["found_for"] == "macs and layers"
    for cheap in (priced, found("mean", "--penalty-weight", "49")):
        assert cheap["predicted_s"] < free["predicted_s"]
        assert cheap["predicted_elsewhere"]["layers"] < free["predicted_elsewhere"]["layers"]
    held = found("worst", "--target", "110%")
    assert held["kept"]
    assert held["predicted_s"] <= held["target"]


@pytest.mark.parametrize("method", ["fbnet", "proxylessnas"])
def test_methods_of_chains_keep_a_limit(cli: Cli, images: str, method: str) -> None:
    space = SMALL.format(", resolutions=(18)")
    assert cli("count", "macs", "--space", space, "--out", "m")[0] == 0
    command = ("search", "--model", "m", "--method", method, "--data", images, *QUICK)
    (held,) = rows(cli(*command, "--target", "90%", "--out", "found", "--json"))
    assert held["kept"]
    assert held["macs"] <= held["target"]
