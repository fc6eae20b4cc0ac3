"""What ``latbench measure`` says of named networks, on a simulated backend."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from latbench.campaign.canaries import CANARIES
from latbench.spaces import parse_space
from latbench.store import Store
from latbench.testing.fake import CostModelBackend
from latbench.zoo.published_networks import published_network

Cli = Callable[..., tuple[int, str, str]]
FAKE = "latbench.testing.fake:CostModelBackend"
SPACE = "nasbench201(channels=4, cells=1, resolution=8)"
CELL = "|nor_conv_3x3~0|+|nor_conv_3x3~0|none~1|+|nor_conv_3x3~0|none~1|none~2|"
EQUAL = "|nor_conv_3x3~0|+|none~0|none~1|+|none~0|skip_connect~1|none~2|"
MEASURE = ("measure", "--backend", FAKE, "--space", SPACE, "--no-parity", "--store", "s.sqlite",
           "--option", "noise=0.01", "--option", "session_noise=0.005")  # fmt: skip


def done(result: tuple[int, str, str]) -> str:
    code, out, err = result
    assert code == 0, err
    return out


def rows(cli: Cli, *arguments: str) -> list[dict[str, Any]]:
    return list(json.loads(done(cli(*MEASURE, *arguments, "--json"))))


def test_each_named_network_is_answered_with_units(cli: Cli) -> None:
    networks = ("--network", "mobilenet_v3_small@32", "--network", "mobilenet_v2@64")
    small, large, cell = _by_model(rows(cli, CELL, *networks))
    assert (small["model"], large["model"]) == ("mobilenet_v3_small@32", "mobilenet_v2@64")
    network = published_network("mobilenet_v2", 64)
    backend = CostModelBackend()
    assert large["latency_s"] == pytest.approx(backend.latency_s(network), rel=0.1)
    assert large["latency_low_s"] < large["latency_s"] < large["latency_high_s"]
    assert large["images_per_s"] == pytest.approx(1 / large["latency_s"])
    assert (large["parameters"], large["macs"]) == (network.parameters, network.macs)
    assert large["input_shape"] == [1, 3, 64, 64]
    assert large["batch"] == 1
    assert large["backend"] == FAKE
    assert large["options"]["noise"] == 0.01
    assert large["memory_bytes"] >= 0
    assert large["latency_s"] <= large["p50_s"] <= large["p50_at_most_s"]
    assert large["p99_s"] is None  # of too few runs
    assert large["runs"] < 662
    assert large["error"] is None
    assert cell["model"] == cell["text"] == CELL
    judged = {one["with"]: one for one in small["compared"]}
    assert judged["mobilenet_v2@64"]["verdict"] == "faster"
    assert judged["mobilenet_v2@64"]["change"] == pytest.approx(
        small["latency_s"] / large["latency_s"] - 1
    )
    mirrored = {one["with"]: one for one in large["compared"]}["mobilenet_v3_small@32"]
    assert mirrored["verdict"] == "slower"
    assert mirrored["change"] == pytest.approx(large["latency_s"] / small["latency_s"] - 1)


def _by_model(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    order = ("mobilenet_v3_small@32", "mobilenet_v2@64", CELL)
    return sorted(found, key=lambda r: order.index(r["model"]))


def test_people_get_a_table_and_which_is_faster(cli: Cli) -> None:
    out = done(cli(*MEASURE, CELL, EQUAL, "--network", "mobilenet_v2@64"))
    assert "measured networks" in out
    assert f"{CELL} is " in out
    assert "% faster than mobilenet_v2@64" in out
    assert f"which of {CELL} and {EQUAL} is faster cannot be told" in out or (
        f"which of {EQUAL} and {CELL} is faster cannot be told" in out
    )
    assert "p99 needs 662 runs (MLPerf LoadGen's rule, 99 % confidence)" in out.replace("90", "99")


def test_a_protocol_for_percentiles_times_enough_runs(cli: Cli, tmp_path: Path) -> None:
    (found,) = rows(cli, "--network", "mobilenet_v2@64", "--percentiles", "--retest", "0")
    assert found["runs"] >= 662
    assert found["p50_s"] < found["p90_s"] < found["p99_s"] <= found["p99_at_most_s"]
    with Store(tmp_path / "s.sqlite") as store:
        (one,) = store.sets()
        assert one.set.protocol.warmup == 1
    (plain,) = rows(cli, "--network", "mobilenet_v2@64", "--retest", "0")
    assert plain["set"] != found["set"]  # of another protocol, and never mixed


def test_a_sample_has_one_object_a_row(cli: Cli) -> None:
    found = rows(cli, "-n", "6", "--retest", "0")
    assert len(found) == len({r["text"] for r in found}) == 6
    assert all(r["latency_s"] > 0 and r["parameters"] > 0 for r in found)


def test_a_network_that_fails_is_an_object_with_the_reason(cli: Cli) -> None:
    space = parse_space(SPACE)
    network = space.build(space.parse(CELL))
    every, seed = next(
        (every, seed) for every in (2, 3, 4, 5) for seed in range(20)
        if (b := CostModelBackend(fault="exception", fault_every=every, seed=seed)).faulty(network)
        and not any(b.faulty(make()) for make in CANARIES.values())
    )  # fmt: skip
    options = (f"fault_every={every}", f"seed={seed}", "fault=exception")
    code, out, _ = cli(*MEASURE, CELL, "--json", *(w for o in options for w in ("--option", o)))
    (found,) = json.loads(out)
    assert code == 1
    assert found["latency_s"] is found["images_per_s"] is None
    assert "told to" in found["error"]
