"""The whole job from one file, on the fake backend and a tiny supernet."""

import dataclasses
import html
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from experiment_file import EXPERIMENT, FAKE, Recorder

from latbench.encodings import encoding_of
from latbench.errors import UsageError
from latbench.experiment.folder import Experiment
from latbench.experiment.parallel import run_sweep, unfinished
from latbench.experiment.prune_stage import prune_models
from latbench.experiment.reporting import collect, write_report
from latbench.experiment.result_files import load_comparison, load_result, result_json
from latbench.experiment.search_warnings import doubtful_limits
from latbench.experiment.stages import predict, run_experiment, sweep_of, versions_read
from latbench.experiment.sweep import SWEEP_FILE
from latbench.experiment.toml_file import load_experiment
from latbench.locks import sole_user
from latbench.models import read_model
from latbench.predictors.model import LatencyModel
from latbench.results import PredictorResult, SearchEpoch, SearchResult
from latbench.search.training.train import evaluate
from latbench.timing.metric import LATENCY, SIZE


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished experiment, with its file beside it."""
    folder = tmp_path_factory.mktemp("experiment")
    (folder / "e.toml").write_text(EXPERIMENT)
    run_experiment(folder / "e.toml", folder / "out", Recorder())
    return folder


def searched(path: Path, directory: Path) -> list[int]:
    """The numbers of the goals that the search stage of an experiment would search for."""
    experiment = Experiment.open(path, directory)
    sweep = sweep_of(experiment)
    return unfinished(sweep, sweep.task(), experiment.search_folder)


def test_everything_is_in_the_report(finished: Path) -> None:
    data = collect(finished / "out")
    (backend,) = data.backends
    assert len(backend.measured) == 24
    assert backend.noise_floor is not None
    assert [p.name for p in backend.predictors] == ["ridge-counts", "ridge-cost"]
    assert [[q.n for q in p.curve] for p in backend.predictors] == [[10, 16], [10, 16]]
    assert [s.penalty_weight for s in data.searches] == [0.0, 5.0]
    for search in data.searches:
        assert len(search.history) == 2
        assert search.measured is not None
        assert search.accuracy is not None
        assert search.predicted == pytest.approx(search.measured, rel=0.2)
    page = html.unescape((finished / "out" / "report.html").read_text())
    assert "a test" in page
    assert "λ = 5" in page


def test_the_most_accurate_predictor_says_what_was_found_costs(finished: Path) -> None:
    """The fake backend is a formula of costs, which operation counts only come near."""
    folder = finished / "out" / "predictors" / FAKE
    assert json.loads((folder / "comparison.json").read_text())["judge"] == "ridge-cost"
    judge = LatencyModel.load(folder / "ridge-cost")
    for search in collect(finished / "out").searches:
        (value,) = judge.predict([judge.space.parse(search.architecture)])
        assert search.predicted == pytest.approx(value)


def test_a_new_version_of_an_encoding_is_fitted_anew(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = shutil.copytree(finished / "out", tmp_path / "out")
    path, sets = out / "predictors" / FAKE / "comparison.json", {FAKE: 1}
    experiment, before = Experiment.open(finished / "e.toml", out), path.read_text()
    predict(experiment, sets, Recorder())
    assert path.read_text() == before
    names = ["ridge-counts", "ridge-cost"]
    assert versions_read(names) == []
    monkeypatch.setattr(type(encoding_of("cost")), "version", 2)
    assert versions_read(names) == ["cost 2"]
    predict(experiment, sets, Recorder())
    assert json.loads(path.read_text())["inputs"] != json.loads(before)["inputs"]


def test_what_was_measured_is_in_the_result_files(finished: Path) -> None:
    (plain, priced) = collect(finished / "out").searches
    for search, name in ((plain, "weight-0"), (priced, "weight-5")):
        path = finished / "out" / "search" / FAKE / name / "result.json"
        stored = json.loads(path.read_text())["result"]
        assert stored["measured"] == search.measured is not None
        assert stored["noise"] == search.noise != {}
        assert stored["verdicts"] == {}  # it had no limit
        assert load_result(path) == search


def test_what_was_trained_is_kept_with_its_weights(finished: Path) -> None:
    experiment = Experiment.open(finished / "e.toml", finished / "out")
    data = sweep_of(experiment).task().data
    for search in collect(finished / "out").searches:
        folder = finished / "out" / "search" / FAKE / f"weight-{search.penalty_weight:g}"
        (kept,) = folder.glob("model-*")
        model = read_model(kept)
        assert (kept.name, model.name) == ("model-0", search.label)
        assert model.trained is not None
        assert model.trained.accuracy == search.accuracies[0]
        assert model.network == experiment.space.build(experiment.space.parse(search.architecture))
        assert evaluate(model.torch(), data) == search.accuracy


def pruning(finished: Path, tmp_path: Path, plan: str) -> Experiment:
    """The finished experiment, as if it had a table [prune]; with the search for accuracy alone."""
    out = shutil.copytree(finished / "out", tmp_path / "out")
    text = EXPERIMENT.replace("[0.0, 5.0]", "[0.0]")
    (out / "experiment.toml").write_text(f'{text}[prune]\nbackend = "{FAKE}"\n{plan}')
    return Experiment.open(out / "experiment.toml", out)


@pytest.mark.slow  # 11 s; models are pruned in test_prune_stage.py
def test_what_was_found_is_pruned(finished: Path, tmp_path: Path) -> None:
    plan = 'budgets = ["99%"]\nrounds = 1\nepochs = 1\nnetworks = 12\nstep = 4\n'
    experiment = pruning(finished, tmp_path, plan)
    found = prune_models(experiment, Recorder())
    data = collect(experiment.directory)
    assert data.pruned == tuple(found)
    ((one,), (search,)) = data.pruned, data.searches
    assert (one.name, one.backend) == (search.label, FAKE)
    assert one.parameters < one.parameters_before == search.parameters
    page = html.unescape(write_report(experiment.directory).read_text())
    assert "Derived networks" in page
    assert "Predicted and measured" in page


def test_what_was_found_and_cannot_be_pruned_is_warned_of(finished: Path, tmp_path: Path) -> None:
    experiment = pruning(finished, tmp_path, 'budgets = ["80%"]\nstep = 64\n')
    with (
        pytest.warns(UserWarning, match="λ = 0 was not pruned: no channels of .* in steps of 64"),
        pytest.raises(UsageError, match="nothing that was found could be pruned: no channels"),
    ):
        prune_models(experiment, Recorder())
    assert collect(experiment.directory).pruned == ()


def test_accuracies_without_their_weights_are_trained_again(finished: Path, tmp_path: Path) -> None:
    """As an experiment of before weights were kept has them, which goes on."""
    shutil.copytree(finished, tmp_path / "old")
    folder = tmp_path / "old" / "out" / "search" / FAKE / "weight-5"
    accuracies = (folder / "accuracies.json").read_bytes()
    shutil.rmtree(folder / "model-0")
    (folder / "result.json").unlink()
    bars = Recorder()
    run_experiment(tmp_path / "old" / "e.toml", tmp_path / "old" / "out", bars)
    assert [name for name in bars.names if name.startswith("train")] == ["train what λ = 5 found"]
    assert (folder / "accuracies.json").read_bytes() == accuracies
    assert read_model(folder / "model-0").weights


def test_a_second_run_does_nothing_again(finished: Path) -> None:
    before = {p: p.read_bytes() for p in (finished / "out").rglob("*.json")}
    bars = Recorder()
    run_experiment(finished / "e.toml", finished / "out", bars)
    assert not [name for name in bars.names if "search" in name or "compare" in name]
    assert {p: p.read_bytes() for p in (finished / "out").rglob("*.json")} == before


@pytest.mark.parametrize(
    ("old", "new", "again"),
    [
        ("[0.0, 5.0]", "[0.0, 5.0]", []),
        ("[0.0, 5.0]", "[0.0, 5.0, 1.0]", [2]),
        ("epochs = 2", "epochs = 1", [0, 1]),
        ("limit = 64", "limit = 32", [0, 1]),
        ("[train]\nepochs = 1", "[train]\nepochs = 2", [0, 1]),
    ],
)
def test_what_has_changed_is_searched_again(
    finished: Path, tmp_path: Path, old: str, new: str, again: list[int]
) -> None:
    (tmp_path / "e.toml").write_text(EXPERIMENT.replace(old, new, 1))
    assert searched(tmp_path / "e.toml", finished / "out") == again


def test_what_only_the_training_depends_on_leaves_the_search(finished: Path) -> None:
    """And what a search depends on changes both hashes."""
    sweep = sweep_of(Experiment.open(finished / "e.toml", finished / "out"))
    task, goal = sweep.task(), sweep.goals[1]
    assert task.training
    (name, priced), *_ = task.priced.items()
    models = {name: priced, "other": dataclasses.replace(priced, reference=1.0)}
    for changes, search_too in (
        ({"training": dataclasses.replace(task.training, epochs=9)}, False),
        ({"seeds": 3}, False),
        ({"priced": models}, False),
        ({"priced": {name: dataclasses.replace(priced, reference=1.0)}}, True),
        ({"settings": dataclasses.replace(task.settings, epochs=9)}, True),
        ({"deviations": 1.0}, True),
    ):
        other = dataclasses.replace(task, **changes)
        assert other.hash(goal) != task.hash(goal)
        assert (other.search_hash(goal) != task.search_hash(goal)) is search_too, changes


def test_one_process_at_a_time_searches_in_a_folder(finished: Path) -> None:
    experiment = Experiment.open(finished / "e.toml", finished / "out")
    sweep = sweep_of(experiment)
    with (
        sole_user(experiment.search_folder / SWEEP_FILE, UsageError("taken")),
        pytest.raises(UsageError, match=r"another process searches in .*/search; wait for it"),
    ):
        run_sweep(sweep, sweep.task(), experiment.search_folder, Recorder())


@pytest.mark.slow  # another metric is searched for in tests/test_metric_end_to_end.py, too
def test_a_search_can_pay_for_another_metric(finished: Path) -> None:
    """The measurements are there; only what is about the other metric is done."""
    text = EXPERIMENT.replace("limit = 64", 'limit = 64\nmetric = "size"')
    (finished / "size.toml").write_text(text.replace("[0.0, 5.0]", "[0.0, 50.0]"))
    bars = Recorder()
    run_experiment(finished / "size.toml", finished / "out", bars)
    assert [name for name in bars.names if name.startswith("compare")] == [
        f"compare predictors of model size on {FAKE}"
    ]
    folder = finished / "out" / "predictors" / FAKE
    assert LatencyModel.load(folder / "ridge-counts").metric == LATENCY
    assert LatencyModel.load(folder / "size" / "ridge-counts").metric == SIZE
    data = collect(finished / "out")
    assert [(b.backend, b.metric) for b in data.backends] == [(FAKE, LATENCY), (FAKE, SIZE)]
    assert [s.metric for s in data.searches] == [SIZE, SIZE]
    space = load_experiment(finished / "size.toml").make_space()
    for search in data.searches:
        parameters = space.build(space.parse(search.architecture)).parameters
        # The statistics of batch norms are no parameters, but part of the model.
        assert search.measured == pytest.approx(4 * parameters, rel=0.1)
        assert search.predicted == pytest.approx(search.measured, rel=0.2)
        assert all(1e4 < epoch.expected < 1e7 for epoch in search.history)
    plain, small = (search.measured or 0 for search in data.searches)
    assert small < plain
    page = html.unescape((finished / "out" / "report.html").read_text())
    assert "These searches pay for model size, not for latency." in page


@pytest.mark.slow
def test_fronts_for_two_backends_are_searched_measured_and_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same formula by two names; a target, and both at once. Then it is all there already."""
    (tmp_path / "second_backend.py").write_text(
        "from latbench.testing.fake import CostModelBackend\n"
        "class Layers(CostModelBackend):\n    name = 'layers'\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *sys.path]))
    other = "second_backend:Layers"
    text = EXPERIMENT.replace("[measure]", f'[[backends]]\nname = "{other}"\n[measure]')
    text = text.replace(
        f'backend = "{FAKE}"', f'backends = ["{FAKE}", "{other}", "{FAKE}+{other}"]'
    )
    text = text.replace("weights = [0.0, 5.0]", 'weights = [0.0]\ntargets = ["90%"]\nseeds = 2')
    text = text.replace("epochs = 2", "epochs = 1")
    (tmp_path / "e.toml").write_text(text)
    run_experiment(tmp_path / "e.toml", tmp_path / "out", Recorder())
    found = collect(tmp_path / "out").searches
    assert [(s.backend, s.plain, s.together) for s in found] == [
        (FAKE, True, ()), (other, True, ()), (FAKE, False, ()), (other, False, ()),
        (FAKE, False, (FAKE, other)),
    ]  # fmt: skip
    assert found[0].measured == found[1].measured_elsewhere[FAKE]
    for s in found:
        assert s.measured is not None
        assert s.predicted == pytest.approx(s.measured, rel=0.3)
        assert len(s.accuracies) == 2
        assert len(s.measured_elsewhere) == len(s.predicted_elsewhere) == 1
        assert (s.met is None) == s.plain
    page = html.unescape((tmp_path / "out" / "report.html").read_text())
    for part in ("Measured fronts", "Found for one, measured on all", "at most", "(90%)"):
        assert part in page
    bars = Recorder()
    run_experiment(tmp_path / "e.toml", tmp_path / "out", bars)
    assert not [name for name in bars.names if "search" in name or "train" in name]


def test_doubtful_targets_are_told(finished: Path, tmp_path: Path) -> None:
    (tmp_path / "e.toml").write_text(EXPERIMENT.replace("limit = 64", 'targets = ["1ns", "1s"]'))
    sweep = sweep_of(Experiment.open(tmp_path / "e.toml", finished / "out"))
    low, high = doubtful_limits(sweep.task(), sweep.goals)
    assert low.startswith(f"at most 0.00000100 ms on {FAKE} may be out of reach")
    assert high.startswith(f"at most 1,000 ms on {FAKE} may limit nothing")


def test_the_report_lists_what_is_not_the_default(finished: Path) -> None:
    data = collect(finished / "out")
    assert data.notes == ()
    assert ("search.settings.epochs", "2", "50") in data.settings
    assert ("search.limit", "64", "0") in data.settings
    assert not any(
        name in ("search.seeds", "search.settings.momentum") for name, *_ in data.settings
    )
    page = html.unescape((finished / "out" / "report.html").read_text())
    assert "Settings of the searches" in page
    assert "{" not in page.partition("Settings of the searches")[2].partition("</section>")[0]


def test_results_name_their_predictors_and_older_ones_load(finished: Path, tmp_path: Path) -> None:
    path = finished / "out" / "search" / FAKE / "weight-5" / "result.json"
    found = load_result(path)
    assert (found.guide, found.keeper, found.judge) == ("ridge-counts", "ridge-cost", "ridge-cost")
    stored = json.loads(path.read_text())
    for name in ("guide", "keeper", "judge"):
        del stored["result"][name]
    (tmp_path / "r.json").write_text(json.dumps(stored))
    assert load_result(tmp_path / "r.json").judge == ""


def test_the_report_can_be_written_again(finished: Path) -> None:
    (finished / "out" / "report.html").unlink()
    assert write_report(finished / "out").stat().st_size > 10_000


def test_a_searchs_folder_is_told_from_none_at_all(finished: Path, tmp_path: Path) -> None:
    for folder in ("search", f"search/{FAKE}/weight-0"):
        with pytest.raises(UsageError, match="is a folder of `latbench search`, which holds check"):
            collect(finished / "out" / folder)
    with pytest.raises(UsageError, match="holds no measured experiment"):
        collect(tmp_path)


def test_a_changed_space_is_refused_and_nothing_is_lost(finished: Path) -> None:
    store = (finished / "out" / "measurements.sqlite").read_bytes()
    (finished / "other.toml").write_text(EXPERIMENT.replace("channels = 4", "channels = 8", 1))
    with pytest.raises(UsageError, match="channels=4"):
        run_experiment(finished / "other.toml", finished / "out", Recorder())
    assert (finished / "out" / "measurements.sqlite").read_bytes() == store


def test_results_of_another_metric_come_back_from_their_file(tmp_path: Path) -> None:
    epoch = SearchEpoch(0, 0.5, 0.4, 2e6, 1.5)
    result = SearchResult("a", "b", 0.5, "c", (epoch,), 1e6, accuracy=0.9, metric=SIZE)
    (tmp_path / "result.json").write_text(json.dumps({"result": result_json(result)}))
    assert load_result(tmp_path / "result.json") == result


def test_files_from_before_other_metrics_are_read(tmp_path: Path) -> None:
    epoch = {"epoch": 0, "train_accuracy": 0.5, "validation_accuracy": 0.4,
             "expected_latency_s": 0.02, "entropy": 1.5}  # fmt: skip
    old = {"label": "a", "backend": "b", "penalty_weight": 0.5, "architecture": "c",
           "history": [epoch], "predicted_s": 0.01, "measured_s": None, "accuracy": 0.9,
           "parameters": 1, "macs": 2, "measured_elsewhere_s": {}}  # fmt: skip
    (tmp_path / "result.json").write_text(json.dumps({"result": old}))
    found = load_result(tmp_path / "result.json")
    assert (found.metric, found.predicted, found.history[0].expected) == (LATENCY, 0.01, 0.02)
    row = {"name": "mlp", "predicted_s": [0.01, 0.02], "metrics": {"rmse_ms": [1.0, 0.5, 2.0]}}
    (tmp_path / "comparison.json").write_text(json.dumps({"results": [row]}))
    (compared,) = load_comparison(tmp_path / "comparison.json")
    assert compared == PredictorResult("mlp", (0.01, 0.02), {"rmse": (1e-3, 5e-4, 2e-3)})


# A shell's background jobs ignore Ctrl-C, and so would what they start.
RUN = """
import signal
import sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from latbench.cli.app import run
sys.argv = ["latbench", "run", "e.toml", "--out", "out"]
run()
"""


# Searches that are killed and interrupted are also in tests/search, in less time.
@pytest.mark.slow
@pytest.mark.parametrize(("how", "code"), [(signal.SIGKILL, -9), (signal.SIGINT, 130)])
def test_stopped_in_the_search_it_goes_on(tmp_path: Path, how: signal.Signals, code: int) -> None:
    text = EXPERIMENT.replace("epochs = 2", "epochs = 6").replace("[0.0, 5.0]", "[5.0]")
    (tmp_path / "e.toml").write_text(text)
    command = [sys.executable, "-c", RUN]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(
        command, cwd=tmp_path, env=environment, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    checkpoint = tmp_path / "out" / "search" / FAKE / "weight-5" / "search.safetensors"
    deadline = time.monotonic() + 600
    while not checkpoint.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    if how is signal.SIGKILL:
        process.kill()
    else:
        os.killpg(process.pid, how)  # as a terminal's Ctrl-C does
    _, errors = process.communicate(timeout=300)
    assert process.returncode == code, errors
    if how is signal.SIGINT:
        assert "the same command goes on" in " ".join(errors.split())
        assert "Traceback" not in errors
    assert not (checkpoint.parent / "result.json").exists()
    subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True)
    result = json.loads((checkpoint.parent / "result.json").read_text())["result"]
    assert [e["epoch"] for e in result["history"]] == list(range(6))
