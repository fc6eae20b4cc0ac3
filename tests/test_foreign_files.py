"""A file runs no code: every command, and every public function that reads a file, on files that
name the classes of a foreign module wherever a file can name a class.

The module can be imported, and leaves a mark when it is. See latbench.plugins for the rule.
"""

from __future__ import annotations

import ast
import contextlib
import dataclasses
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import typer
from experiment_file import FAKE
from stored import make_set, row

from latbench import api
from latbench.backends import backend_spec, options_of
from latbench.cli.app import app, run
from latbench.cli.bars import Bars
from latbench.errors import LatbenchError, ParseError
from latbench.experiment import found, reporting, results
from latbench.experiment.config import read_experiment
from latbench.files import read_json, reusable, write_json
from latbench.predictors import make_predictor
from latbench.predictors.card import read_card
from latbench.predictors.model import LatencyModel
from latbench.report.data import PredictorResult, SearchEpoch, SearchResult, Stated
from latbench.spaces import AnySpace, make_space, nasbench201
from latbench.spaces.isolated import IsolatedConfig, IsolatedLayers
from latbench.store import Store, sides
from latbench.store.doctor import examine
from latbench.store.merge import merge
from latbench.store.parquet import export_parquet, import_parquet

ROOT = Path(__file__).parents[1]
Cli = Callable[..., tuple[int, str, str]]

MODULE = """
from pathlib import Path
from latbench.predictors.ridge import RidgeCounts
from latbench.spaces.nasbench201 import NasBench201Space
from latbench.testing.fake import CostModelBackend

Path(__file__).with_name("imported").touch()

class Runtime(CostModelBackend):
    name = "evil-runtime"

class Space(NasBench201Space):
    name = "evil-space"

class Predictor(RidgeCounts):
    name = "evil-predictor"
"""
RUNTIME, SPACE, PREDICTOR = "evilmod:Runtime", "evilmod:Space", "evilmod:Predictor"
OPTIONS = {"s_per_mac": 1e-9, "seed": 0}
CONFIG = {"channels": 2, "cells": 1, "resolution": 8, "in_channels": 1}
KNOWN = nasbench201(**CONFIG)
EXPERIMENT = """
title = "a stranger's"
[space]
name = "{space}"
channels = 2
cells = 1
resolution = 8
in_channels = 1
[[backends]]
name = "{backend}"
s_per_mac = 1e-9
[predict]
compare = ["{predictor}"]
penalty = "{predictor}"
"""
TINY = "--data d.npz --setting epochs=1 --setting batch=16 --setting channels=2 --setting cells=1"
SEARCH = """
[search]
backend = "{backend}"
penalty_weights = [0.5]
"""


def fill(path: Path, space: AnySpace, factor: float = 1.0, **conditions: object) -> Path:
    """24 sampled rows and a retest, under the same numbers in every space."""
    with Store(path, space) as store:
        number = store.add_set(make_set(**conditions))
        for i in range(24):
            text = str(space.unrank(i if space.size < 100 else 97 * i))
            store.add(number, row(i, factor=factor * (1 + i / 50), architecture=text))
        store.add(number, row(0, repeat=1, factor=1.01, architecture=str(space.unrank(0))))
    return path


def save_models(folder: Path) -> None:
    """One with a foreign backend, one with a foreign predictor, one with a foreign space."""
    with Store(folder / "backend.sqlite") as store:
        dataset = store.dataset()
    LatencyModel.fit(dataset, make_predictor("ridge-counts")).save(folder / "m-backend")
    LatencyModel.fit(dataset, make_predictor(PREDICTOR)).save(folder / "m-predictor")
    with Store(folder / "space.sqlite") as store:
        foreign = store.dataset()
    LatencyModel.fit(foreign, make_predictor("ridge-counts")).save(folder / "m-space")


def save_experiment(folder: Path, store: Path, space: str) -> None:
    """A finished experiment's folder."""
    names = {"space": space, "backend": RUNTIME, "predictor": PREDICTOR}
    folder.mkdir()
    (folder / "experiment.toml").write_text((EXPERIMENT + SEARCH).format(**names))
    shutil.copy(store, folder / "measurements.sqlite")
    write_json(folder / "sets.json", {RUNTIME: 1})
    rating = dict.fromkeys(
        ("mape", "rmse", "within_5", "within_10", "spearman", "kendall"), (0.1, 0.05, 0.2)
    )
    compared = [PredictorResult(PREDICTOR, (1e-3,) * 24, rating)]
    write_json(
        folder / "predictors" / RUNTIME / "comparison.json",
        {"inputs": "x", "results": results.comparison_json(compared), "judge": PREDICTOR},
    )
    cell = str(KNOWN.unrank(97))
    found = SearchResult(
        "λ = 0.5", RUNTIME, 0.5, cell,
        tuple(SearchEpoch(i, 0.5, 0.5, 1e-3, 1.0, architecture=cell) for i in range(3)), 1e-3,
        together=(RUNTIME,), predicted_elsewhere={RUNTIME: 1e-3}, stated={RUNTIME: Stated()},
        guide=PREDICTOR, keeper=PREDICTOR, judge=PREDICTOR,
    )  # fmt: skip
    write_json(
        folder / "search" / "weight-0.5" / "result.json",
        {"inputs": "x", "result": results.result_json(found)},
    )


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A stranger's files, written where the module was there, which nobody has imported since."""
    folder = tmp_path_factory.mktemp("foreign")
    (folder / "evilmod.py").write_text(MODULE)
    (folder / "own.toml").write_text(
        EXPERIMENT.format(space="nasbench201", backend=FAKE, predictor="ridge-counts")
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        patch.setitem(sys.modules, "evilmod", ModuleType("evilmod"))  # gone again afterwards
        del sys.modules["evilmod"]
        pixels, labels = np.zeros((32, 8, 8), np.uint8), np.arange(32) % 10
        np.savez(folder / "d.npz", x_train=pixels, y_train=labels, x_test=pixels, y_test=labels)
        foreign = make_space(SPACE, CONFIG)
        mine: dict[str, Any] = {"backend": RUNTIME, "options": OPTIONS}
        fill(folder / "backend.sqlite", KNOWN, **mine)
        fill(folder / "later.sqlite", KNOWN, 1.1, **mine)
        fill(folder / "space.sqlite", foreign)
        fill(folder / "everything.sqlite", foreign, **mine)
        fill(folder / "everything-later.sqlite", foreign, 1.1, **mine)
        fill(folder / "layers.sqlite", IsolatedLayers(IsolatedConfig(of=str(foreign))))
        save_models(folder)
        save_experiment(folder / "e-all", folder / "everything.sqlite", SPACE)
        save_experiment(folder / "e-backend", folder / "backend.sqlite", "nasbench201")
        for name in ("backend", "space"):
            with Store(folder / f"{name}.sqlite") as store:
                export_parquet(store, folder / f"{name}.parquet")
        yield folder


@pytest.fixture(autouse=True)
def untouched(files: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The mark that the module leaves; it is not there before a test. Files are named as seen from
    their folder."""
    sys.modules.pop("evilmod", None)
    mark = files / "imported"
    mark.unlink(missing_ok=True)
    monkeypatch.chdir(files)
    return mark


def command_line(
    arguments: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], out: Path
) -> tuple[int, str, str]:
    """Runs it in this process; exit code, output, standard error."""
    words = shlex.split(arguments.replace("$OUT", str(out)))
    monkeypatch.setattr(sys, "argv", ["latbench", *words])
    with pytest.raises(SystemExit) as stop:
        run()
    return (int(stop.value.code or 0), *capsys.readouterr())


READ_NO_FILE = {"space", "sample", "device", "backends"}
# Of each other command: what is tried, and how it ends. 0 shows what there is without the module.
WALK: dict[str, dict[str, int]] = {
    "store": {
        "backend.sqlite": 0, "space.sqlite": 0, "layers.sqlite": 0, "everything.sqlite --json": 0,
    },
    "stats": {"backend.sqlite": 0, "space.sqlite": 0, "layers.sqlite": 0},
    "doctor": {"backend.sqlite": 0, "space.sqlite": 0, "layers.sqlite --json": 0},
    "merge": {
        "$OUT/m.sqlite backend.sqlite later.sqlite --keep first": 0,
        "$OUT/m.sqlite everything.sqlite everything-later.sqlite --keep first": 0,
        "$OUT/m.sqlite space.sqlite backend.sqlite": 2,
    },
    "export": {"backend.sqlite $OUT/p.parquet": 0, "space.sqlite $OUT/p.parquet": 2},
    "import": {"backend.parquet $OUT/s.sqlite": 0, "space.parquet $OUT/s.sqlite": 2},
    "report": {
        "backend.sqlite --out $OUT/p.html": 0,
        "space.sqlite --out $OUT/p.html": 0,
        "layers.sqlite --out $OUT/p.html": 0,
        "e-all --out $OUT/p.html": 0,
        "e-backend --out $OUT/p.html": 0,
        "backend.sqlite later.sqlite --out $OUT/p.html": 0,
        "everything.sqlite everything-later.sqlite --json": 0,
        "e-backend later.sqlite": 0,
        "space.sqlite --sets 1 1": 0,
        "backend.sqlite --split 2020-01-01": 2,
    },
    "fit": {
        "--store backend.sqlite --predictor ridge-counts --folds 2 --out $OUT/m": 0,
        "--store space.sqlite --predictor ridge-counts --out $OUT/m": 2,
        f"--store space.sqlite --until-error 5% --backend {FAKE} --predictor ridge-counts"
        " --out $OUT/m": 2,
    },
    "compare": {
        "--store backend.sqlite --predictor ridge-counts --folds 2 --out $OUT/p.html": 0,
        "--store space.sqlite --predictor ridge-counts": 2,
        "--store layers.sqlite --predictor ridge-counts": 2,
    },
    "predict": {
        "--model m-backend -n 2": 0,
        "--model m-predictor -n 2": 2,
        "--model m-space -n 2": 2,
        f"--model m-space --space '{KNOWN}' -n 2": 2,
    },
    "transfer": {
        "--from backend.sqlite --to later.sqlite -n 10 --method counts": 0,
        "--from space.sqlite --to later.sqlite -n 10": 2,
        "--from later.sqlite --to space.sqlite -n 10": 2,
    },
    "search": {
        f"--model m-backend --store $OUT/s.sqlite --out $OUT/s {TINY}": 2,
        "--model m-predictor --out $OUT/s": 2,
        "--model m-space --out $OUT/s": 2,
        "--model m-backend --judge m-predictor --out $OUT/s": 2,
    },
    "measure": {f"--store space.sqlite --space '{KNOWN}' --backend {FAKE} -n 2": 2},
    "compare-backends": {f"--store space.sqlite --space '{KNOWN}' --backend {FAKE} -n 3": 2},
    "run": {"own.toml --out $OUT/e-all": 2},
}  # fmt: skip


def test_every_command_is_tried() -> None:
    group = typer.main.get_command(app)
    assert {*WALK, *READ_NO_FILE} == set(group.commands)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(f"{name} {rest}", code) for name, tried in WALK.items() for rest, code in tried.items()],
    ids=str,
)
def test_no_command_imports_what_a_file_names(
    arguments: str, code: int, untouched: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    shutil.copytree("e-all", tmp_path / "e-all")  # for `run`, which writes there
    ended, _, err = command_line(arguments, monkeypatch, capsys, tmp_path)
    assert not untouched.exists()
    assert "evilmod" not in sys.modules
    assert ended == code, err
    if code:
        *_, last = err.strip().splitlines()
        assert last.startswith("error: ")
        assert "evilmod" in last


@pytest.mark.slow
@pytest.mark.parametrize("command", ["measure", "compare-backends"])
def test_no_campaign_imports_what_its_store_names(
    command: str, untouched: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """Measuring more into a store lists the sets that it has already."""
    shutil.copy("backend.sqlite", tmp_path / "s.sqlite")
    arguments = f"{command} --store $OUT/s.sqlite --space '{KNOWN}' --backend {FAKE} -n 3"
    code, out, err = command_line(arguments, monkeypatch, capsys, tmp_path)
    assert code == 0, err
    assert RUNTIME in out or command != "measure"
    assert not untouched.exists()


def test_options_are_shown_as_stored_without_the_class(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], untouched: Path
) -> None:
    _, out, _ = command_line("store backend.sqlite --json", monkeypatch, capsys, untouched)
    assert '"options": "s_per_mac=1e-09 seed=0"' in out
    assert not untouched.exists()
    monkeypatch.setenv("LATBENCH_TRUST", "evilmod")
    _, out, _ = command_line("store backend.sqlite --json", monkeypatch, capsys, untouched)
    assert '"options": "s_per_mac=1e-09"' in out
    assert untouched.exists()


@pytest.mark.parametrize(
    "arguments",
    [
        "store backend.sqlite", "store space.sqlite", "store layers.sqlite", "stats layers.sqlite",
        "import space.parquet $OUT/s.sqlite", "report e-all --out $OUT/p.html",
        "predict --model m-predictor -n 2", "predict --model m-space -n 2",
    ],
)  # fmt: skip
def test_the_walk_would_see_an_import(
    arguments: str, untouched: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setenv("LATBENCH_TRUST", "evilmod")
    command_line(arguments, monkeypatch, capsys, tmp_path)
    assert untouched.exists()


def test_a_backend_of_a_card_is_not_one_that_somebody_said(
    untouched: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = {RUNTIME: LatencyModel.load("m-backend")}
    refused = f"^the card of the {RUNTIME} model names the backend '{RUNTIME}', whose module is not"
    with pytest.raises(ParseError, match=refused):
        found.conditions_of(models)
    assert not untouched.exists()
    monkeypatch.setenv("LATBENCH_TRUST", "evilmod")
    (trusted,) = found.conditions_of(models)
    monkeypatch.delenv("LATBENCH_TRUST")
    del sys.modules["evilmod"]
    (said,) = found.conditions_of(models, [RUNTIME])
    for conditions in (trusted, said):
        assert backend_spec(conditions.backend)[0] == RUNTIME
        assert options_of(conditions.backend)["s_per_mac"] == OPTIONS["s_per_mac"]
    assert untouched.exists()


# Public functions and methods with a path, by their files, that read what may name a class.
READERS: dict[str, Callable[[Path], object]] = {
    "latbench/api.py measure": lambda out: api.measure(KNOWN, FAKE, n=1, store="space.sqlite"),
    "latbench/experiment/config.py read_experiment": lambda out: read_experiment(
        Path("e-all/experiment.toml")
    ),
    "latbench/experiment/found.py measured": lambda out: found.measured(
        [results.load_result(Path("e-all/search/weight-0.5/result.json"))], KNOWN,
        found.conditions_of({}, [FAKE]), Path("space.sqlite"), Bars(shown=False),
    ),
    "latbench/experiment/reporting.py collect": lambda out: reporting.collect(Path("e-all")),
    "latbench/experiment/reporting.py write_report": lambda out: reporting.write_report(
        Path("e-all"), out / "p.html"
    ),
    "latbench/experiment/reporting.py collect_store": lambda out: reporting.collect_store(
        Path("everything.sqlite")
    ),
    "latbench/experiment/reporting.py write_store_report": lambda out: (
        reporting.write_store_report(Path("everything.sqlite"), out / "p.html")
    ),
    "latbench/experiment/results.py load_result": lambda out: results.load_result(
        Path("e-all/search/weight-0.5/result.json")
    ),
    "latbench/experiment/results.py load_comparison": lambda out: results.load_comparison(
        Path("e-all/predictors") / RUNTIME / "comparison.json"
    ),
    "latbench/files.py read_json": lambda out: read_json(Path("e-all/sets.json")),
    "latbench/files.py reusable": lambda out: reusable(Path("e-all/sets.json"), "x"),
    "latbench/store/doctor.py examine": lambda out: examine(Path("everything.sqlite")),
    "latbench/store/file.py Store.__init__": lambda out: Store("everything.sqlite"),
    "latbench/store/merge.py merge": lambda out: merge(
        out / "m.sqlite", [Path("everything.sqlite"), Path("space.sqlite")]
    ),
    "latbench/store/parquet.py import_parquet": lambda out: import_parquet(
        Path("space.parquet"), out / "s.sqlite"
    ),
    "latbench/store/sides.py pair_sides": lambda out: sides.pair_sides(
        Path("everything.sqlite"), Path("everything-later.sqlite")
    ),
    "latbench/store/sides.py unpaired": lambda out: sides.unpaired(
        Path("everything.sqlite"), Path("space.sqlite"), []
    ),
    "predictors/card.py read_card": lambda out: read_card(Path("m-space")),
    "predictors/model.py LatencyModel.load": lambda out: LatencyModel.load("m-predictor"),
}  # fmt: skip
# Those that read an experiment which somebody asks to run.
RUNNERS = {
    "latbench/experiment/config.py parse_experiment",
    "latbench/experiment/config.py load_experiment",
    "latbench/experiment/parallel.py run_searches",
    "latbench/experiment/stages.py run_experiment",
    "latbench/experiment/stages.py Experiment.open",
    "latbench/experiment/stages.py verify",
}
# Those that read no name of a class: they write, work on an open file, or read numbers and images.
OTHERS = {
    "latbench/campaign/run.py exclusive", "latbench/experiment/searching.py search_and_train",
    "latbench/experiment/stages.py predictors_folder", "latbench/experiment/stages.py result_path",
    "latbench/files.py write_text", "latbench/files.py write_json",
    "latbench/files.py replacing", "latbench/locks.py sole_user",
    "latbench/store/schema.py with_sampler_of", "search/checkpoint.py alone",
    "latbench/report/page.py write", "latbench/report/page.py save",
    "latbench/store/migration.py migrate", "latbench/store/migration.py repacked",
    "latbench/store/output.py new_file", "latbench/store/output.py new_store",
    "latbench/store/parquet.py export_parquet", "latbench/store/schema.py store_errors",
    "latbench/store/schema.py sqlite_errors", "latbench/store/schema.py create",
    "latbench/store/schema.py check", "latbench/store/schema.py read_space",
    "predictors/base.py LatencyPredictor.save_state",
    "predictors/base.py LatencyPredictor.load_state",
    "predictors/boosted_trees.py BoostedTrees.save_state",
    "predictors/boosted_trees.py BoostedTrees.load_state",
    "predictors/model.py LatencyModel.save",
    "predictors/novelty.py Novelty.save", "predictors/novelty.py Novelty.load",
    "predictors/state.py read_limited", "predictors/state.py write_arrays",
    "predictors/state.py read_arrays",
    "search/checkpoint.py write", "search/checkpoint.py read",
    "search/checkpoint.py check_identity", "search/folder.py read_folder", "search/loop.py search",
    "search/scores.py RememberedScore.__init__", "search/sources.py read_cifar",
    "search/sources.py read_npz", "search/state.py read_course", "search/state.py read_supernet",
    "search/state.py SearchState.save", "search/state.py SearchState.load",
    "search/tensorboard.py tensorboard_log", "search/training.py train",
}  # fmt: skip


def functions_of(tree: ast.Module) -> Iterator[tuple[str, ast.FunctionDef]]:
    """The public functions of a module and the public methods of its public classes."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            yield node.name, node
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            for inner in node.body:
                public = isinstance(inner, ast.FunctionDef) and (
                    inner.name == "__init__" or not inner.name.startswith("_")
                )
                if public and isinstance(inner, ast.FunctionDef):
                    yield f"{node.name}.{inner.name}", inner


def test_every_public_function_with_a_path_is_known() -> None:
    """Whoever adds one says above whether a file can name a class to it. Commands are tried by the
    walk above; ``latbench.device`` reads the system's files."""
    found = set()
    for folder in ("latbench", "backends", "predictors", "search"):
        for path in (ROOT / folder).rglob("*.py"):
            place = path.relative_to(ROOT)
            if place.parts[1] in ("cli", "device"):
                continue
            text = path.read_text("utf-8")
            for name, function in functions_of(ast.parse(text if "Path" in text else "")):
                given = function.args
                everything = (*given.posonlyargs, *given.args, *given.kwonlyargs)
                if any(a.annotation and "Path" in ast.unparse(a.annotation) for a in everything):
                    found.add(f"{place} {name}")
    assert found == {*READERS, *RUNNERS, *OTHERS}


@pytest.mark.parametrize("name", READERS)
def test_no_function_imports_what_a_file_names(name: str, untouched: Path, tmp_path: Path) -> None:
    with contextlib.suppress(LatbenchError):
        READERS[name](tmp_path)
    assert not untouched.exists()
    assert "evilmod" not in sys.modules


def test_an_experiment_is_reported_where_nothing_of_it_is_installed(untouched: Path) -> None:
    known, foreign = (reporting.collect(Path(f"e-{name}")) for name in ("backend", "all"))
    for data in (known, foreign):
        (backend,), (search,) = data.backends, data.searches
        assert backend.backend == search.backend == RUNTIME
        assert len(backend.measured) == 24
        assert [p.name for p in backend.predictors] == [PREDICTOR]
    assert known.searches[0].measured == pytest.approx(known.backends[0].measured[1])
    assert foreign.searches[0].measured is None  # its row cannot be told without the space
    assert known.notes == ()
    (note,) = foreign.notes
    assert "set LATBENCH_TRUST=evilmod; until then its architectures are shown by their nu" in note
    assert foreign.backends[0].architectures[1] == "number 97"
    assert dataclasses.replace(foreign.backends[0], architectures=()) == dataclasses.replace(
        known.backends[0], architectures=(), conditions=foreign.backends[0].conditions
    )
