"""No public function that reads a file runs code which it names; see latbench.plugins."""

from __future__ import annotations

import ast
import contextlib
import dataclasses
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from experiment_file import FAKE
from strangers import KNOWN, OPTIONS, PREDICTOR, RUNTIME

from latbench import api
from latbench.backends import backend_spec, make_backend, options_of
from latbench.backends.simd_sparse import SimdSparse
from latbench.errors import LatbenchError, ParseError
from latbench.experiment import reporting
from latbench.experiment import result_files as results
from latbench.experiment import verification as found
from latbench.experiment.prune_stage import pruned_in
from latbench.experiment.pruning.both_jobs import model_to_prune
from latbench.experiment.pruning.prune_job import check_job, prune_to_budgets, pruned_results
from latbench.experiment.pruning.prune_settings import PruneJob
from latbench.experiment.settings import PruneStage
from latbench.experiment.toml_file import read_experiment
from latbench.files import read_json, reusable
from latbench.models import export_model, read_model
from latbench.predictors.card import read_card
from latbench.predictors.model import LatencyModel
from latbench.predictors.restoring import restore_predictor
from latbench.progress import Bars
from latbench.store import Store, sides
from latbench.store.doctor import examine
from latbench.store.merge import merge
from latbench.store.parquet import import_parquet

ROOT = Path(__file__).parents[2]
PRUNING = PruneJob("m-network", ("50%",))

# Public functions and methods with a path, by their files, that read what may name a class.
READERS: dict[str, Callable[[Path], object]] = {
    "latbench/api.py measure": lambda out: api.measure(KNOWN, FAKE, n=1, store="space.sqlite"),
    "latbench/experiment/pruning/prune_job.py prune_to_budgets": lambda out: prune_to_budgets(
        PRUNING, make_backend(FAKE), out, Bars(shown=False)
    ),
    "latbench/experiment/pruning/prune_job.py check_job": lambda out: check_job(
        PRUNING, SimdSparse(), out, Bars(shown=False)
    ),
    "latbench/experiment/pruning/prune_job.py pruned_results": lambda out: pruned_results(
        Path("p-model")
    ),
    "latbench/experiment/prune_stage.py pruned_in": lambda out: pruned_in(
        Path("e-all/prune"), PruneStage(FAKE, ("50%",))
    ),
    "latbench/experiment/pruning/both_jobs.py model_to_prune": lambda out: model_to_prune(
        "m-network", out
    ),
    "latbench/experiment/toml_file.py read_experiment": lambda out: read_experiment(
        Path("e-all/experiment.toml")
    ),
    "latbench/experiment/verification.py measured": lambda out: found.measured(
        [results.load_result(Path("e-all/search") / RUNTIME / "weight-0.5/result.json")], KNOWN,
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
    "latbench/experiment/result_files.py load_result": lambda out: results.load_result(
        Path("e-all/search") / RUNTIME / "weight-0.5/result.json"
    ),
    "latbench/experiment/result_files.py load_comparison": lambda out: results.load_comparison(
        Path("e-all/predictors") / RUNTIME / "comparison.json"
    ),
    "latbench/files.py read_json": lambda out: read_json(Path("e-all/sets.json")),
    "latbench/files.py reusable": lambda out: reusable(Path("e-all/sets.json"), "x"),
    "latbench/models/exporting.py export_model": lambda out: export_model(
        "m-network", onnx=out / "net.onnx"
    ),
    "latbench/models/model_folder.py read_model": lambda out: read_model(Path("m-network")),
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
    "predictors/restoring.py restore_predictor": lambda out: restore_predictor(
        read_card(Path("m-predictor")), Path("m-predictor")
    ),
}  # fmt: skip
# Those that read an experiment which somebody asks to run.
RUNNERS = {
    "latbench/experiment/toml_file.py parse_experiment",
    "latbench/experiment/toml_file.py load_experiment",
    "latbench/experiment/folder.py Experiment.open",
    "latbench/experiment/stages.py run_experiment",
    "latbench/experiment/stages.py measure_found",
}
# Those that read no name of a class: they write, work on an open file, or read numbers and images.
OTHERS = {
    "latbench/campaign/campaign.py exclusive",
    "latbench/experiment/search_and_train.py search_and_train",
    "latbench/experiment/search_and_train.py search_goal",
    "latbench/experiment/search_and_train.py trained_models",
    "latbench/models/exporting.py check_files",
    "latbench/experiment/folder.py predictors_folder",
    "latbench/experiment/folder.py search_folder", "latbench/experiment/folder.py prune_folder",
    "latbench/experiment/parallel.py run_children", "latbench/experiment/parallel.py run_sweep",
    "latbench/experiment/parallel.py unfinished",
    "latbench/experiment/sweep.py result_path",
    "latbench/experiment/sweep.py Sweep.read", "latbench/experiment/sweep.py Sweep.write",
    "latbench/experiment/verification.py verify",
    "latbench/files.py write_text", "latbench/files.py write_json", "latbench/files.py parse_toml",
    "latbench/files.py replacing", "latbench/files.py replacing_folder",
    "latbench/importing/onnx_file.py parsed", "latbench/importing/onnx_file.py read_file",
    "latbench/importing/reading.py read_onnx", "latbench/models/named.py Model.from_onnx",
    "latbench/models/model_folder.py save_model", "latbench/locks.py sole_user",
    "latbench/npz.py npz_arrays",
    "latbench/store/foreign.py read_table", "latbench/store/foreign.py import_table",
    "latbench/plain_pickle.py read_plain_pickle",
    "latbench/store/schema.py with_sampler_of", "search/checkpoint.py alone",
    "latbench/report/page.py write", "latbench/report/page.py save",
    "latbench/report/picture.py save_picture",
    "latbench/store/migration.py open_space",
    "latbench/store/migration.py repacked",
    "latbench/store/output.py new_file", "latbench/store/output.py new_store",
    "latbench/store/parquet.py export_parquet", "latbench/store/schema.py store_errors",
    "latbench/store/schema.py sqlite_errors", "latbench/store/schema.py create",
    "latbench/store/schema.py check", "latbench/store/schema.py read_space",
    "predictors/base.py LatencyPredictor.save_state",
    "predictors/base.py LatencyPredictor.load_state",
    "predictors/families/boosted_trees.py BoostedTrees.save_state",
    "predictors/families/boosted_trees.py BoostedTrees.load_state",
    "predictors/model.py LatencyModel.save",
    "predictors/novelty.py Novelty.save", "predictors/novelty.py Novelty.load",
    "predictors/safe_arrays.py read_limited", "predictors/safe_arrays.py write_arrays",
    "predictors/safe_arrays.py read_arrays",
    "search/checkpoint.py write", "search/checkpoint.py read",
    "search/checkpoint.py check_identity", "search/images/image_folder.py read_folder",
    "search/loop.py search", "search/one_shot_choice.py trained_supernet",
    "search/one_shot_choice.py fix_variables",
    "search/baselines/scores.py RememberedScore.__init__", "search/images/sources.py read_cifar",
    "search/images/sources.py read_npz", "search/search_state.py read_course",
    "search/search_state.py read_supernet",
    "search/search_state.py SearchState.save", "search/search_state.py SearchState.load",
    "search/tensorboard.py tensorboard_log", "search/training/train.py train",
    "search/pruning/prune.py prune", "search/pruning/sparsify.py sparsify",
    "latbench/experiment/pruning/both_jobs.py whole_latency",
    "latbench/experiment/pruning/both_jobs.py keep_dense",
    "latbench/experiment/pruning/both_jobs.py ModelTimer.beside",
    "latbench/experiment/pruning/both_jobs.py Way.save",
    "latbench/experiment/pruning/channel_job.py ChannelPruning.__init__",
    "latbench/experiment/pruning/channel_job.py ChannelPruning.save",
    "latbench/experiment/pruning/group_job.py GroupPruning.__init__",
    "latbench/experiment/pruning/group_job.py GroupPruning.save",
    "latbench/experiment/pruning/prune_job.py run_folder",
    # A folder that is made for one profile, and goes with it.
    "backends/onnx_runtime_profile.py set_profile", "backends/onnx_runtime_profile.py node_times",
    # The engine's file holds numbers, and the model beside it is read by read_model.
    "latbench/sparse/saved.py save_sparse", "latbench/sparse/saved.py open_sparse",
    "latbench/sparse/compiling.py compile_engine",
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
        assert [p.backend for p in data.pruned] == [RUNTIME]
    assert known.searches[0].measured == pytest.approx(known.backends[0].measured[1])
    assert foreign.searches[0].measured is None  # its row cannot be told without the space
    assert known.notes == ()
    (note,) = foreign.notes
    assert "set LATBENCH_TRUST=evilmod; until then its architectures are shown by their nu" in note
    assert foreign.backends[0].architectures[1] == "number 97"
    assert dataclasses.replace(foreign.backends[0], architectures=()) == dataclasses.replace(
        known.backends[0], architectures=(), conditions=foreign.backends[0].conditions
    )


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
