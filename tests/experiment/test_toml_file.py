"""The experiment file: what is refused, with all mistakes at once, defaults and documentation."""

from __future__ import annotations

import json
import re
from dataclasses import fields
from pathlib import Path

import pytest
from experiment_file import EXPERIMENT, FAKE

from latbench.backends.base import Availability
from latbench.errors import UsageError
from latbench.experiment.settings import MeasureStage, PredictStage, PruneStage, SearchStage
from latbench.experiment.toml_file import load_experiment, parse_experiment
from latbench.search.config import SearchConfig, TrainConfig
from latbench.timing.protocol import Protocol


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("limit = 64", 'targets = ["5 parsecs"]', r"'5 parsecs' is no amount of latency"),
        ("limit = 64", "deviations = 1.0", r"set \[predict\] penalty to .mlp-ensemble."),
        ("limit = 64", "seeds = 0", "seeds = 0: must be at least 1"),
        ("limit = 64", 'combine = "sum"', "combine"),
        ("limit = 64", f'backends = ["{FAKE}"]', "both backend and backends"),
        ('backend = "', 'backends = ["nope"]\ndata = "', "'nope' is not one of"),
        ("[0.0, 5.0]", "[]", "neither penalty_weights nor targets"),
        ("[0.0, 5.0]", "[-1.0]", "must be at least 0"),
        ("[search]", '[search]\npreset = "mnist"', "no search of 'darts' on 'mnist'"),
        ("[search]", "[search]\npreset = 3", "preset = 3"),
        ("epochs = 2", "epochs = 2\ntarget = 0.005", r"write it in \[search\] targets"),
        (
            "epochs = 2",
            "epochs = 2\nwarmup_epochs = 2",
            r"\[search.settings\] warmup_epochs = 2 must be below epochs = 2",
        ),
        ("epochs = 2", "epoch = 2", r"'search.settings.epoch'; did you mean 'epochs'\? docs/"),
        ("limit = 64", "limits = 64", r"'search.limits'; did you mean 'limit'\? docs/"),
    ],
)
def test_wrong_search_plans_are_refused(old: str, new: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_experiment(EXPERIMENT.replace(old, new, 1), Path("e.toml"))


def refused(*replaced: tuple[str, str]) -> str:
    """What is said of the experiment with texts replaced."""
    text = EXPERIMENT
    for old, new in replaced:
        text = text.replace(old, new, 1)
    with pytest.raises(UsageError) as error:
        parse_experiment(text, Path("e.toml"))
    return str(error.value)


def test_every_misspelt_key_is_named_with_the_nearest_one() -> None:
    said = refused(("epochs = 2", "epoks = 2"), ("retest", "retset"), ("folds", "f"),
                   ("n = 24", 'n = "24"'), ("limit = 64", "zzz = 1"))  # fmt: skip
    first, *others = said.splitlines()
    assert first == "e.toml: 4 mistakes"
    assert sorted(others) == [
        "- measure.n = '24': input should be a valid integer",
        "- there is no setting 'measure.retset'; did you mean 'retest'? "
        "docs/experiment.md lists them",
        "- there is no setting 'search.settings.epoks'; did you mean 'epochs'? "
        "docs/experiment.md lists them",
        "- there is no setting 'search.zzz'; docs/experiment.md lists them",
    ]
    assert refused(("epochs = 2", "partial_channels = 2")) == (
        "e.toml: there is no setting 'search.settings.partial_channels'; it is one of the method: "
        'method = "pc-darts(partial_channels=4)"'
    )
    assert refused(("title", "titel")).count("did you mean 'title'?") == 1
    assert refused(("epochs = 2", "epoks = 2")).startswith("e.toml: there is no setting")


def test_every_wrong_name_is_named() -> None:
    said = refused(("limit = 64", 'metric = "speed"'), ('"ridge-cost"]', '"ridge-costt"]'),
                   ("channels = 4", "chanels = 4"), ("noise", "noize"))  # fmt: skip
    assert said.startswith("e.toml: 4 mistakes\n- ")
    for part in ("'speed'", "did you mean 'ridge-cost'", "'chanels'", "'noize'"):
        assert part in said
    assert "ready" not in said


def test_a_wrong_option_of_a_backend_that_cannot_run_here_says_both(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    away = Availability(False, "gone fishing", "wait")
    monkeypatch.setattr("latbench.experiment.settings.availability_of", lambda _: away)
    said = refused(("noise", "noize"))
    assert "has no option 'noize'" in said
    assert said.endswith("; besides, it is not ready here: gone fishing (wait)")


def test_a_preset_is_what_settings_are_laid_over() -> None:
    text = EXPERIMENT.replace("epochs = 2", 'epochs = 2\nmethod = "gdas"', 1)
    named = text.replace("[search]", '[search]\npreset = "cifar10"', 1)
    plain, found = (parse_experiment(t, Path("e.toml")).search for t in (text, named))
    assert plain is not None
    assert found is not None
    assert (plain.settings.weight_decay, found.settings.weight_decay) == (3e-4, 5e-4)
    assert (found.settings.method, found.settings.epochs, found.settings.nesterov) == (
        "gdas", 2, True,
    )  # fmt: skip


def test_what_is_found_is_trained_as_published_and_where_the_search_is() -> None:
    """A preset's own training, the search's device and precision, and what [train] says, in that
    order."""
    text = EXPERIMENT.replace("epochs = 2", 'epochs = 2\nprecision = "bfloat16"', 1)
    space = '"spos"\nwidth = 0.5'
    mobile = text.replace('"darts"\nchannels = 4\ncells = 3', space, 1)
    mobile = mobile.replace("resolution = 8", "resolution = 32", 1)
    mobile = mobile.replace("epochs = 2", 'epochs = 2\nmethod = "single-path"', 1)
    named = mobile.replace("[search]", '[search]\npreset = "imagenet"', 1)
    plain, found = (parse_experiment(t, Path("e.toml")).train for t in (text, named))
    assert plain == TrainConfig(epochs=1, batch=32, precision="bfloat16")
    assert (found.epochs, found.batch, found.precision) == (1, 32, "bfloat16")
    assert (found.learning_rate, found.schedule, found.decay_vectors) == (0.5, "linear", False)
    other = text.replace("[train]", '[train]\nprecision = "float32"', 1)
    assert parse_experiment(other, Path("e.toml")).train.precision == "float32"
    twice = text.replace("[search]", '[search]\npreset = "cifar10"', 1)
    assert parse_experiment(twice, Path("e.toml")).train.drop_path == 0.2


def test_a_presets_warm_up_that_outlasts_the_search_is_refused_by_name() -> None:
    text = EXPERIMENT.replace("epochs = 2", 'epochs = 2\nmethod = "pc-darts"', 1)
    named = text.replace("[search]", '[search]\npreset = "cifar10"', 1)
    with pytest.raises(UsageError, match=r"'cifar10', warmup_epochs = 15 .* below epochs = 2:"):
        parse_experiment(named, Path("e.toml"))
    parse_experiment(named.replace("epochs = 2", "epochs = 2\nwarmup_epochs = 1"), Path("e.toml"))


def test_the_demo_file_is_valid() -> None:
    from importlib.resources import files

    path = Path(str(files("latbench.experiment").joinpath("demo.toml")))
    config = load_experiment(path)
    assert len(config.backends) == 2
    assert config.measure.n >= 80
    assert config.search is not None
    assert 0.0 in config.search.penalty_weights


def test_defaults_are_those_of_the_documentation() -> None:
    text = 'title = "t"\n[space]\nname = "darts"\n[[backends]]\nname = "onnxruntime"\n'
    config = parse_experiment(text, Path("t.toml"))
    table = (Path(__file__).parents[2] / "docs" / "experiment.md").read_text()
    assert f"| {config.measure.n}, {config.measure.seed}, {config.measure.retest} |" in table
    p = config.protocol
    values = (p.runs, p.canary_runs, p.min_part_s, p.warmup, p.min_visits, p.max_visits, p.target,
              p.canary_every, p.pause_s)  # fmt: skip
    assert f"| {', '.join(map(str, values))} |" in table


@pytest.mark.parametrize(
    ("heading", "kind", "left_out"),
    [
        ("# The experiment file", MeasureStage, ()),
        ("# The experiment file", PredictStage, ()),
        ("# The experiment file", SearchStage, ("settings",)),
        ("# The experiment file", Protocol, ("version",)),
        ("## Pruning", PruneStage, ()),
        ("## Settings of a search", SearchConfig, ("penalty_weight", "target")),
        ("## Settings of training", TrainConfig, ()),
    ],
)
def test_every_setting_is_documented(heading: str, kind: type, left_out: tuple[str, ...]) -> None:
    """With its default, where a table's row has them all in one cell."""
    page = (Path(__file__).parents[2] / "docs" / "experiment.md").read_text()
    section = page.split(heading, 1)[1].split("\n## ")[0]
    known: dict[str, str] = {}
    for line in section.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        names = re.findall(r"`([a-z_0-9]+)`", cells[0])
        values = [value.strip(" `") for value in cells[1].split(",")] if len(cells) > 2 else []
        known |= dict.fromkeys(names, "")
        if len(values) == len(names):
            known |= dict(zip(names, values, strict=True))
    assert known
    for field in fields(kind):
        if field.name in left_out:
            continue
        assert field.name in known
        if isinstance(field.default, int | float) and kind in (SearchConfig, TrainConfig):
            assert json.loads(known[field.name]) == field.default, field.name
