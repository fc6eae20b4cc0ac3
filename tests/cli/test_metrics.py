"""The whole way for another metric than latency, as a user runs it."""

import json

import pytest

SPACE = "darts(channels=32, cells=3, resolution=16, in_channels=1)"


def test_a_search_for_less_memory(cli) -> None:  # type: ignore[no-untyped-def]
    """Real memory of real networks on ONNX Runtime, a predictor of it, and a search that pays."""
    cli("measure", "--space", SPACE, "-n", "30", "--target", "0.5", "--retest", "0.2")
    compared = json.loads(
        cli("compare", "--metric", "memory", "--predictor", "ridge-counts", "--json")
    )
    assert (compared["metric"], compared["unit"]) == ("memory", "bytes")
    assert 0 < compared["noise_floor"] < 1
    cli("fit", "--metric", "memory", "--predictor", "ridge-counts", "--out", "model")

    found = {}
    for weight in ("0", "10"):
        row = json.loads(
            cli(
                "search", "--model", "model", "--metric", "memory", "--penalty-weight", weight,
                "--out", f"search-{weight}", "--json", "--setting", "epochs=3",
                "--setting", "channels=2", "--setting", "cells=3",
                "--setting", "alpha_learning_rate=0.1", "--setting", "batch=128",
            )
        )  # fmt: skip
        found[weight] = row[0]["predicted_memory_bytes"]
    assert 2**20 < found["10"] < 0.8 * found["0"]
    (predicted,) = json.loads(cli("predict", "--model", "model", "-n", "1", "--json"))
    assert predicted["memory_bytes"] > 2**20


def test_a_model_of_another_metric_is_refused(cli, capsys) -> None:  # type: ignore[no-untyped-def]
    fake = "latbench.testing.fake:CostModelBackend"
    space = "darts(channels=4, cells=3, resolution=8, in_channels=1)"
    cli("measure", "--space", space, "--backend", fake, "-n", "20")
    cli("fit", "--predictor", "ridge-counts", "--out", "model")
    with pytest.raises(AssertionError, match="predicts latency, not memory; fit one with"):
        cli("search", "--model", "model", "--metric", "memory", "--out", "x")
    with pytest.raises(AssertionError, match="unknown metric 'joy'; expected one of latency, memo"):
        cli("fit", "--metric", "joy", "--out", "model")
    with pytest.raises(AssertionError, match="has no energy an inference of an architecture"):
        cli("fit", "--metric", "energy", "--out", "model")
