"""``latbench search`` on tiny supernets and two simulated backends: sweeps, targets, measuring."""

import json
import re
import shutil
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from latbench.cli.app import run
from latbench.predictors.model import LatencyModel
from latbench.results import SearchEpoch
from latbench.search import checkpoint
from latbench.search.config import TrainConfig
from latbench.search.methods import METHODS, method_class, parse_method
from latbench.search.search_state import SearchState

Cli = Callable[..., tuple[int, str, str]]
# The same formula by two names: one pays for multiply-adds, the other one for layers.
MACS, LAYERS = "latbench.testing.fake:CostModelBackend", "second_backend:Layers"
SECOND = """
from latbench.testing.fake import CostModelBackend
class Layers(CostModelBackend):
    name = "layers"
"""
SPACE = "darts(channels=4, cells=3, resolution=8, in_channels=1)"
CHAIN = (
    "operators(widths=(8 16 24 32), blocks=(1 1), stem_stride=1, resolution=8, in_channels=1, "
    "classes=10, pools=(sep3+mb3e3+shuffle3))"
)
TINY = ("epochs=1", "batch=16", "channels=2", "cells=3", "alpha_learning_rate=0.3",
        "penalty_samples=4")  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two fitted models, one that counts in a chain, and images."""
    place = tmp_path_factory.mktemp("search")
    (place / "second_backend.py").write_text(SECOND)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        patch.syspath_prepend(place)
        commands: list[tuple[str, ...]] = [("count", "macs", "--space", CHAIN, "--out", "chain")]
        for name, backend, option in (("macs", MACS, "s_per_mac=1e-9"),
                                      ("layers", LAYERS, "s_per_layer=1e-4")):  # fmt: skip
            commands += [
                ("measure", "--space", SPACE, "--backend", backend, "--option", option,
                 "--store", "m.sqlite", "-n", "24", "--retest", "0"),
                ("fit", "--store", "m.sqlite", "--backend", backend, "--predictor", "ridge-counts",
                 "--out", name),
            ]  # fmt: skip
        for command in commands:
            patch.setattr(sys, "argv", ["latbench", *command])
            with pytest.raises(SystemExit) as stop:
                run()
            assert not stop.value.code
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 255, (48, 8, 8)).astype(np.uint8)
    labels = np.arange(48) % 10
    np.savez(place / "d.npz", x_train=pixels[:32], y_train=labels[:32], x_test=pixels[32:],
             y_test=labels[32:])  # fmt: skip
    return place


@pytest.fixture
def cli(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(folder)

    def call(*arguments: str) -> tuple[int, str, str]:
        command = ["latbench", "search", "--data", "d.npz"]
        command += [part for text in TINY for part in ("--setting", text)]
        monkeypatch.setattr(sys, "argv", [*command, *arguments])
        with pytest.raises(SystemExit) as stop:
            run()
        out, err = capsys.readouterr()
        return int(stop.value.code or 0), out, " ".join(err.split())

    return call


def rows(result: tuple[int, str, str]) -> list[dict[str, Any]]:
    code, out, err = result
    assert code == 0, err
    found: list[dict[str, Any]] = json.loads(out)
    return found


def config_of(folder: Path) -> dict[str, Any]:
    """The settings in a search's checkpoint."""
    _, values = checkpoint.read(folder / "search.safetensors")
    config: dict[str, Any] = values["identity"]["config"]
    return config


@pytest.mark.slow  # 45 s; two backends together are searched for below
def test_a_sweep_over_two_backends_is_measured_on_both(cli: Cli, folder: Path) -> None:
    sweep = (
        "--model", "macs", "--model", "layers", "--out", "two", "--penalty-weight", "0,9",
        "--target", "70%", "--store", "m.sqlite", "--train-epochs", "1", "--seeds", "2",
    )  # fmt: skip
    found = rows(cli(*sweep, "--json"))
    assert [(r["found_for"], r["goal"].split(" ")[0]) for r in found] == [
        ("accuracy alone", "λ"), (MACS, "λ"), (LAYERS, "λ"), (MACS, "at"), (LAYERS, "at")
    ]  # fmt: skip
    for row in found:
        assert row["latency_s"] == pytest.approx(row["predicted_s"], rel=0.3)
        other = MACS if row["found_for"] == LAYERS else LAYERS
        assert row["measured_elsewhere"][other] > 0
        assert row["predicted_elsewhere"][other] > 0
        assert 0 <= row["accuracy"] <= 1
        assert row["deviation"] >= 0
        assert (row["kept"] is None) == (row["target"] is None)
        same = [r for r in found if r["architecture"] == row["architecture"]]
        assert len(row["network_found_for"]) == len(same)
        assert all(r["network_found_for"] == row["network_found_for"] for r in same)
        assert any(goal.startswith(row["goal"]) for goal in row["network_found_for"])
    assert any(row["front"] for row in found)
    for part in (MACS, LAYERS):
        assert (folder / "two" / part / "target-70%" / "result.json").exists()
        assert (folder / "two" / part / "weight-9" / "search.safetensors").exists()
    before = {p: p.read_bytes() for p in (folder / "two").rglob("accuracies.json")}
    code, out, err = cli(*sweep)
    assert code == 0
    assert "train" not in err
    said = " ".join(out.replace("\u00a0", " ").split())
    assert "found for" in said
    assert "no better than guessing" in said
    assert "what 1 epoch of training gives; --train-epochs trains longer" in said
    for row in found:  # whole, so that it can be copied
        assert row["architecture"] in out
    # What a search for a backend is worth comes first.
    assert said.index("that of what was found for") < said.index("predicted")
    several = any(len(row["network_found_for"]) > 1 for row in found)
    assert ("One and the same network was found for" in said) is several
    assert {p: p.read_bytes() for p in before} == before


@pytest.mark.slow  # 15 s; limits out of reach are said below, and kept ones in tests/search
def test_a_target_is_kept_and_a_hopeless_one_is_said(cli: Cli) -> None:
    wanted = ("--setting", "epochs=4", "--model", "macs", "--json")
    with pytest.warns(UserWarning, match="no derived network kept the target"):
        rows(cli(*wanted, "--out", "no", "--target", "1us"))
    (plain,) = rows(cli(*wanted, "--out", "plain", "--penalty-weight", "0"))
    target = f"{0.8 * plain['predicted_s']:.9f}s"
    (row,) = rows(cli(*wanted, "--out", "t", "--target", target, "--measure", LAYERS))
    assert (row["latency_s"], set(row["measured_elsewhere"])) == (None, {LAYERS})
    assert (row["kept"], row["verdict"], row["verdicts"]) == (True, None, {})
    assert row["predicted_s"] <= row["target"] == pytest.approx(0.8 * plain["predicted_s"])


def test_the_measurement_is_held_against_the_limit(cli: Cli, folder: Path) -> None:
    with pytest.warns(UserWarning, match="no derived network kept the target as predicted"):
        code, out, err = cli(
            "--model", "macs", "--out", "limit", "--target", "10%", "--store", "limit.sqlite"
        )
    assert code == 0, err
    said = " ".join(out.split())
    assert re.search(
        r"at most .* predicted .* measured .*, [0-9.]+ % above the limit: missed, as predicted; "
        r"the measurement is \w+ the predictor's 90 % interval, the prediction [0-9.]+ % too "
        r"(high|low) \(stated mean error [0-9.]+ %\)", said,
    )  # fmt: skip
    for word in ("goal", "limit", "limit / reference", "10.00 %", "kept", "no"):
        assert word in said
    stored = json.loads((folder / "limit" / MACS / "target-10%" / "result.json").read_text())[
        "result"
    ]
    assert (stored["met"], stored["verdict"]) == (False, "missed")
    assert set(stored["noise"]) == {MACS}
    assert stored["target"] == pytest.approx(0.1 * stored["reference"])
    (stated,) = stored["stated"].values()
    assert stated["low"] < stored["predicted"] < stated["high"]
    card = LatencyModel.load(folder / "macs").card
    assert card.metrics is not None
    assert stated["error"] == card.metrics["mape"][0]
    # A warning is a sentence, without the line of the source that gave it.
    assert warnings.formatwarning("it is so", UserWarning, "f.py", 1) == "warning: it is so\n"


def test_a_judge_says_what_was_found_costs(
    cli: Cli, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """ridge-cost has no gradient that a search could use."""
    cli_fit = ("fit", "--store", "m.sqlite", "--backend", MACS, "--predictor", "ridge-cost",
               "--out", "judge")  # fmt: skip
    monkeypatch.setattr(sys, "argv", ["latbench", *cli_fit])
    with pytest.raises(SystemExit) as stop:
        run()
    assert not stop.value.code
    capsys.readouterr()
    code, _, err = cli("--model", "judge", "--data", "no such place", "--out", "judged")
    assert code == 2
    assert err.startswith("error: this predictor has no gradient that a search could follow")
    assert "'ridge-cost'" in err
    assert "(--judge)" in err
    (row,) = rows(cli("--model", "macs", "--judge", "judge", "--out", "judged", "--json"))
    judge = LatencyModel.load(folder / "judge")
    (value,) = judge.predict([judge.space.parse(row["architecture"])])
    assert row["predicted_s"] == pytest.approx(value)


@pytest.mark.parametrize(
    ("finished", "said"),
    [(0, "no epoch was finished; the same command begins anew"),
     (1, "the last epoch is in stopped-1; the same command goes on from there")],
)  # fmt: skip
def test_what_a_stopped_search_says_that_it_kept(
    cli: Cli, folder: Path, monkeypatch: pytest.MonkeyPatch, finished: int, said: str
) -> None:
    from latbench.search import loop

    whole, out = loop._run_epoch, f"stopped-{finished}"

    def stopped(parts: SearchState, epoch: int, stepped: Any) -> SearchEpoch:
        if epoch == finished:
            raise KeyboardInterrupt
        return whole(parts, epoch, stepped)

    monkeypatch.setattr(loop, "_run_epoch", stopped)
    code, _, err = cli("--model", "macs", "--out", out, "--setting", "epochs=2")
    assert code == 130
    assert err.endswith(f"stopped: {said}")
    assert (folder / out / MACS / "weight-0.5" / loop.CHECKPOINT).exists() == (finished > 0)


def test_a_limit_out_of_reach_and_choices_hardly_made_are_said(cli: Cli) -> None:
    still = ("--model", "macs", "--setting", "alpha_learning_rate=0.0001", "--json")
    with pytest.warns(UserWarning, match="nearly uniform") as caught:
        rows(cli(*still, "--target", "1us", "--out", "reach"))
    said = [str(warning.message) for warning in caught]
    assert said[0].startswith(f"at most 0.00100 ms on {MACS} may be out of reach: the cheapest of ")
    assert any(
        "nearly uniform (at most 0.00100 ms; entropy 2.08 of at most 2.08)" in s for s in said
    )


@pytest.mark.parametrize(
    "method",
    ["darts", "pc-darts(partial_channels=2)", "gdas(temperature=3)", "msg-das(subgraphs=3)",
     "single-path(budget=6, population=3, images=16)"],
)  # fmt: skip
def test_every_method_takes_a_weight_and_a_target(cli: Cli, folder: Path, method: str) -> None:
    setting = ("--model", "macs", "--method", method, "--json")
    name = method.partition("(")[0]
    (priced,) = rows(cli(*setting, "--penalty-weight", "0.3", "--out", f"{name}-w"))
    assert (priced["goal"], priced["target"]) == ("λ = 0.3", None)
    (held,) = rows(cli(*setting, "--target", "1s", "--out", f"{name}-t"))
    assert (held["kept"], held["target"]) == (True, 1.0)
    for place in (f"{name}-w/{MACS}/weight-0.3", f"{name}-t/{MACS}/target-1s"):
        used = parse_method(config_of(folder / place)["method"])
        assert used == parse_method(method)


FEW = "budget=4, population=2, images=8"


@pytest.mark.parametrize(
    "method",
    [f"hurricane(groups='2|1', {FEW}, calibration=8)", f"single-path({FEW}, evolve=false)",
     "training-free(budget=4, population=2)",
     f"training-free({FEW}, score=naswot, evolve=false)"],
)  # fmt: skip
def test_one_shot_methods_in_a_chain(cli: Cli, folder: Path, method: str) -> None:
    setting = ("--model", "chain", "--method", method, "--setting", "epochs=2", "--json")
    out = re.sub(r"\W", "", method)
    (priced,) = rows(cli(*setting, "--penalty-weight", "0.3", "--out", f"{out}-w"))
    assert (priced["goal"], priced["target"]) == ("λ = 0.3", None)
    (held,) = rows(cli(*setting, "--target", "110%", "--train-epochs", "1", "--out", f"{out}-t"))
    assert held["kept"]
    assert held["predicted_macs"] <= held["target"]
    assert 0 <= held["accuracy"] <= 1
    used = config_of(folder / f"{out}-t" / "counted" / "target-110%")
    assert parse_method(used["method"]) == parse_method(method)


def test_what_is_found_is_trained_as_the_search_and_the_settings_say(
    cli: Cli, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = list[Any]()
    monkeypatch.setattr("latbench.experiment.parallel.run_sweep", _spied(seen))
    command = (
        "--model",
        "macs",
        "--out",
        "trained",
        "--penalty-weight",
        "0",
        "--train-epochs",
        "3",
    )
    for more in (("--setting", "precision=bfloat16", "--train-setting", "batch=8"), ()):
        with pytest.raises(ZeroDivisionError):
            cli(*command, *more)
    first, plain = (sweep.training for sweep in seen)
    assert (first.epochs, first.precision, first.batch, first.device) == (3, "bfloat16", 8, "cpu")
    assert plain == TrainConfig(epochs=3)


def _spied(seen: list[Any]) -> Callable[..., Any]:
    """Takes a sweep down instead of running it."""

    def run_sweep(sweep: Any, *_: Any) -> Any:
        seen.append(sweep)
        raise ZeroDivisionError

    return run_sweep


def test_topology_and_dropblock_are_settings_of_any_method(cli: Cli, folder: Path) -> None:
    setting = ("--model", "macs", "--method", "gdas", "--json", "--setting", "topology=any",
               "--setting", "dropblock=0.2", "--setting", "topology_pressure=0.5")  # fmt: skip
    rows(cli(*setting, "--penalty-weight", "0.3", "--out", "sets"))
    used = config_of(folder / "sets" / MACS / "weight-0.3")
    assert (used["topology"], used["topology_pressure"], used["dropblock"]) == ("any", 0.5, 0.2)
    path = folder / "sets" / MACS / "weight-0.3" / "result.json"
    assert len(json.loads(path.read_text())["result"]["set_odds"]) == 8
    code, _, err = cli(*setting, "--setting", "topology=3", "--out", "sets-3")
    assert code == 2
    assert "topology = 3 asks for 3 inputs of 'normal.1', which takes 2 in this space" in err
    assert not (folder / "sets-3").exists()


def test_every_method_and_preset_is_in_the_help(cli: Cli) -> None:
    code, out, _ = cli("--help")
    assert code == 0
    said = re.sub(r"[│\s]", "", out)
    presets = {name for method in METHODS for _, name in method_class(method).presets}
    assert presets > {"cifar10", "imagenet"}
    assert all(re.sub(r"\s", "", name) in said for name in (*METHODS, *presets))


def test_a_checkpoint_of_other_settings_is_kept(cli: Cli, folder: Path) -> None:
    """What was searched is doubted again; a search of other settings takes another folder."""
    first = ("--model", "macs", "--target", "1us", "--out", "mine", "--json")
    with pytest.warns(UserWarning, match="no derived network kept the target"):
        found = rows(cli(*first))
    path = folder / "mine" / MACS / "target-1us" / "search.safetensors"
    before = path.read_bytes()
    code, _, err = cli(*first, "--setting", "epochs=3")
    assert code == 2
    assert "belongs to another search: its config.epochs is 1, this one's is 3" in err
    assert path.read_bytes() == before
    with pytest.warns(UserWarning, match="no derived network kept the target"):
        assert rows(cli(*first)) == found


def test_a_preset_is_what_settings_are_laid_over(cli: Cli, folder: Path) -> None:
    rows(cli("--model", "macs", "--method", "pc-darts", "--preset", "imagenet", "--penalty-weight",
             "0", "--setting", "warmup_epochs=0", "--out", "preset", "--json"))  # fmt: skip
    used = config_of(folder / "preset" / MACS / "weight-0")
    assert (used["method"], used["learning_rate"]) == ("pc-darts(partial_channels=2)", 0.5)
    assert (used["epochs"], used["batch"], used["channels"]) == (1, 16, 2)  # of --setting


def test_two_backends_together(cli: Cli) -> None:
    (row,) = rows(cli("--model", "macs", "--model", "layers", "--together", "worst",
                      "--penalty-weight", "9", "--out", "joint", "--json"))  # fmt: skip
    assert row["found_for"] == f"{MACS} and {LAYERS}"
    assert set(row["predicted_elsewhere"]) == {LAYERS}
    both = ("--model", "macs", "--model", "layers", "--together", "worst", "--json")
    limits = ("--target", "1s", "--target", "2s", "--out", "held", "--store", "m.sqlite")
    with pytest.warns(UserWarning, match="on second_backend:Layers may limit nothing"):
        (held,) = rows(cli(*both, *limits))
    assert (held["kept"], held["verdict"], held["target"]) == (True, "kept", 1.0)
    assert held["verdicts"] == dict.fromkeys((MACS, LAYERS), "kept")
    assert set(held["stated"]) == {MACS, LAYERS}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--penalty-weight", "0,x"), ("--penalty-weight", "'0,x'")),
        (("--penalty-weight", "0,-1"), ("--penalty-weight", "0 or more")),
        (("--target", "5"), ("'5'", "s, ms, us", "'5ms'")),
        (("--target", "5MB"), ("'5MB'", "latency")),
        (("--target", "0ms"), ("above 0",)),
        (("--target", "5ms", "--target", "6ms"), ("2 times for 1 model",)),
        (("--together", "worst"), ("two or more models",)),
        (("--together", "most"), ("'worst' or 'mean'", "'most'")),
        (("--seeds", "3"), ("--seeds trains nothing without --train-epochs",)),
        (("--train-setting", "batch=8"), ("--train-setting trains nothing without --train-ep",)),
        (("--train-epochs", "1", "--train-setting", "epoks=8"), ("--train-setting: ", "'epoks'")),
        (("--train-epochs", "1", "--train-setting", "auxiliary=0.4"), ("needs 8 x 8 pixels",)),
        (("--model", "macs"), ("second model of backend",)),
        (("--judge", "layers"), ("--judge is a predictor of backend", "--model of")),
        (("--deviations", "1"), ("'ridge-counts'", "mlp-ensemble")),
        (("--measure", "nope"), ("nope",)),
        (("--preset", "mnist"), ("no search of 'darts' on 'mnist'", "darts on cifar10")),
        (("--preset", "nasbench201"), ("in the space 'darts'",)),
        (("--method", "enas"), ("'enas'; expected", "pc-darts")),
        (("--method", "gdas(temprature=5)"), ("--method: ", "did you mean 'temperature'")),
        (("--method", "gdas(5)"), ("'5'", "expected 'key=value'")),
        (("--setting", "method=gdas(5)"), ("--setting: method", "expected 'key=value'")),
        (
            ("--setting", "alpha_learning_rate=0", "--target", "1s"),
            ("alpha_learning_rate above 0",),
        ),
        (("--method", ""), ("--method: unknown method ''; expected one of darts",)),
        (("--preset", ""), ("no search of 'darts' on ''",)),
        (("--method", "dart"), ("--method: unknown", "did you mean 'darts' or 'darts-2nd'?")),
        (("--setting", "warmup_epochs=1"), ("--setting: ", "warmup_epochs = 1", "epochs = 1")),
        (
            ("--method", "pc-darts", "--preset", "cifar10"),
            ("the preset 'cifar10'", "warmup_epochs = 15", "epochs = 1"),
        ),
        (("--setting", "cells=2"), ("cells must be 3 or more", "got 2", "no normal cell")),
        (("--setting", "epoch=2"), ("'epoch'; did you mean 'epochs'?", "docs/experiment.md")),
        (("--setting", "temperature=2"), ('method = "gdas(temperature=5)"',)),
        (("--setting", "xyz=2"), ("no setting 'xyz'; docs/experiment.md",)),
    ],
)
def test_wrong_options_are_said_in_a_sentence(
    cli: Cli, folder: Path, arguments: tuple[str, ...], words: tuple[str, ...]
) -> None:
    code, _, err = cli("--model", "macs", "--out", "wrong", *arguments)
    assert code == 2, err
    assert "Traceback" not in err
    for word in words:
        assert word in err
    assert not (folder / "wrong").exists()


@pytest.mark.slow
def test_what_a_card_names_is_printed_as_it_is(cli: Cli, folder: Path) -> None:
    shutil.copytree(folder / "macs", folder / "foreign")
    card = folder / "foreign" / "card.json"
    named = {**json.loads(card.read_text()), "backend": "[b]x[/] [/y] :key:"}
    card.write_text(json.dumps(named))
    code, out, err = cli("--model", "foreign", "--model", "layers", "--out", "foreign-found")
    assert code == 0, err
    assert out.count("[b]x[/] [/y] :key:") >= 2


def test_a_card_whose_options_are_none_is_one_sentence(cli: Cli, folder: Path) -> None:
    shutil.copytree(folder / "macs", folder / "odd")
    card = json.loads((folder / "odd" / "card.json").read_text())
    card["conditions"]["options"] = 3
    (folder / "odd" / "card.json").write_text(json.dumps(card))
    code, _, err = cli(
        "--model", "odd", "--measure", MACS, "--store", "odd.sqlite", "--out", "odd-o"
    )
    assert code == 2
    assert "options must be names and values, got 3; fit it again" in err
    assert not (folder / "odd-o").exists()
