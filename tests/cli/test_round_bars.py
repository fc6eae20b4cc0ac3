"""Measuring in rounds, and intervals, from the command line."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from latbench.cli.round_bars import parse_share
from latbench.errors import UsageError
from latbench.spaces import parse_space
from latbench.store import Store

SPACE = "nasbench201(channels=4, cells=1, resolution=8)"
FAKE = "latbench.testing.fake:CostModelBackend"
MEASURED = ("--space", SPACE, "--backend", FAKE)
Cli = Callable[..., tuple[int, str, str]]


def test_until_error_measures_fits_and_says_why_it_stopped(cli: Cli) -> None:
    arguments = ("--out", "m", *MEASURED, "--predictor", "ridge-cost", "--step", "25", "--json")
    code, out, err = cli("fit-until", "5%", *arguments)
    assert code == 0, err
    said = json.loads(out)
    assert said["until"]["stopped_by"] == "error"
    assert said["until"]["target"] == 0.05
    assert said["until"]["samples"] == said["samples"] == 25
    assert "25 architectures: error" in err
    assert "5.00 % is reached" in err
    _, again, err = cli("fit-until", "0.05", *arguments)
    assert json.loads(again)["samples"] == 25
    _, predicted, err = cli("predict", "--model", "m", "-n", "4", "--interval", "0.9", "--json")
    for same in ("90%", "90", " 90 %"):
        said_again = cli("predict", "--model", "m", "-n", "4", "--interval", same, "--json")
        assert said_again == (0, predicted, "")
    for row in json.loads(predicted):
        assert row["latency_s_low"] <= row["latency_s"] <= row["latency_s_high"]
        assert row["unlike_training"] == (row["novelty"] > 1)


def test_fit_says_which_predictor_it_took_unasked(cli: Cli) -> None:
    cli("measure", *MEASURED, "-n", "20", "--retest", "0")
    code, out, err = cli("fit", "--out", "m", "--json")
    assert code == 0, err
    assert json.loads(out)["predictors"][0]["name"] == "mlp"
    said = "no --predictor was named, so this is mlp; `latbench compare --store latbench.sqlite`"
    assert said in " ".join(err.split())
    _, _, err = cli("fit", "--out", "m", "--predictor", "ridge-cost")
    assert "no --predictor was named" not in err


def test_predict_marks_networks_unlike_its_sample(cli: Cli) -> None:
    cli("measure", *MEASURED, "-n", "60")
    cli("fit", "--out", "m", "--predictor", "ridge-counts")
    empty = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"
    _, out, err = cli("predict", "--model", "m", empty, "--json")
    (row,) = json.loads(out)
    assert row["unlike_training"]
    assert row["outside_range"]
    _, out, err = cli("predict", "--model", "m", empty, "--interval", "0.8")
    assert "low" in out
    assert "yes" in out
    assert "1 of 1 unlike the 60 networks and 1 of 1 predicted outside the " in err
    assert f"Latency predicted for {FAKE} on " in " ".join(out.split())
    code, _, err = cli("predict", "--model", "m", empty, "--interval", "0.99")
    assert code == 2
    assert "needs 99 calibration rows" in err


@pytest.mark.slow
def test_active_and_space_filling_measure_what_was_asked(cli: Cli) -> None:
    code, _, err = cli("measure-actively", *MEASURED, "-n", "40", "--rounds", "2")
    assert code == 0, err
    assert "round 2 of 2" in err
    filling = ("-n", "30", "--choose", "space-filling", "--store", "f.sqlite")
    code, _, err = cli("measure", *MEASURED, *filling)
    assert code == 0, err
    for path, n in (("latbench.sqlite", 40), ("f.sqlite", 30)):
        with Store(path, parse_space(SPACE)) as store:
            assert len(store.dataset()) == n


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("measure", *MEASURED, "--choose", "actively"), "'random' or 'space-filling'"),
        (("measure", *MEASURED, "-n", "0"), "name architectures, or give -n"),
        (("measure-actively", *MEASURED, "-n", "30"), "fewer rounds"),
        (("fit-until", "5", "--out", "m", *MEASURED), "as 5% or 0.05"),
    ],
)
def test_what_makes_no_sense_is_explained(cli: Cli, arguments: tuple[str, ...], says: str) -> None:
    code, _, err = cli(*arguments)
    assert code == 2
    assert says in err


@pytest.mark.parametrize(("text", "share"), [("5%", 0.05), ("0.05", 0.05), (" 2.5 %", 0.025)])
def test_shares_are_read(text: str, share: float) -> None:
    assert parse_share(text) == pytest.approx(share)


@pytest.mark.parametrize("text", ["5", "0", "100%", "-1%", "five", "", "%", "nan", "1"])
def test_other_shares_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="5%"):
        parse_share(text)
