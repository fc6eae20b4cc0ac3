"""Commands as a user runs them."""

import ast
import importlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from latbench.cli.app import run
from latbench.models import Model, save_model
from latbench.networks.network import NetworkBuilder
from latbench.networks.weights import make_weights
from latbench.spaces import parse_space

FAKE = "latbench.testing.fake:CostModelBackend"

ROOT = Path(__file__).parents[2]

BESIDE = """
from dataclasses import dataclass
from latbench.networks.ops import Op
from latbench.spaces.cells.nasbench201_space import NasBench201Space

class Own(NasBench201Space):
    name = "own"

@dataclass(frozen=True)
class Nothing(Op):
    pass
"""


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path):  # type: ignore[no-untyped-def]
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", ["latbench", *arguments])
        with pytest.raises(SystemExit) as stop:
            run()
        out, err = capsys.readouterr()
        assert not stop.value.code, err
        return str(out)

    return call


HEAVY = (
    "torch", "numpy", "onnx", "onnxruntime", "sklearn", "lightgbm", "pydantic", "matplotlib",
    "scipy", "jinja2", "altair", "vl_convert", "safetensors", "psutil", "ray", "xgboost",
    "openvino", "ncnn", "pyarrow", "IPython", "ipywidgets", "latbench.api", "latbench.backends",
    "latbench.campaign", "latbench.models", "latbench.predictors", "latbench.search",
    "latbench.spaces", "latbench.store", "latbench.zoo",
)  # fmt: skip


def test_help_imports_nothing_heavy() -> None:
    """`--help` is to take less than half a second; benchmarks/cli.py times it."""
    code = (
        "import sys\nfrom latbench.cli.app import run\nsys.argv = ['latbench', '--help']\n"
        "try: run()\nexcept SystemExit: pass\n"
        f"heavy = set({HEAVY!r})\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    for command in ("backends", "space", "networks", "sample", "measure", "fit", "compare",
                    "predict", "search", "report", "run"):  # fmt: skip
        assert f" {command} " in result.stdout


def test_space_without_a_name_lists_the_spaces(cli) -> None:  # type: ignore[no-untyped-def]
    assert "resnet, spos, or module:Class" in cli("space")
    assert "spaces:" not in cli("space", "nasbench201")
    assert "8 input, 28 operation" in cli("space")


def test_backends_lists_what_is_ready(cli) -> None:  # type: ignore[no-untyped-def]
    rows = {row["backend"]: row for row in json.loads(cli("backends", "--json"))}
    assert rows["torch-eager"]["ready"]
    assert rows["onnxruntime"]["ready"]


def test_sample_is_reproducible(cli) -> None:  # type: ignore[no-untyped-def]
    first = json.loads(cli("sample", "-n", "3", "--seed", "4", "--json"))
    assert first == json.loads(cli("sample", "-n", "3", "--seed", "4", "--json"))
    assert len({row["architecture"] for row in first}) == 3


def test_measure_compare_fit_predict(cli, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    space = "nasbench201(channels=4, cells=1, resolution=8)"
    said = cli("measure", "--space", space, "--backend", FAKE, "-n", "40", "--option", "noise=0.01")
    assert "set 1 holds 40 architectures, 40 different networks" in said.replace("\u00a0", " ")
    (measured,) = json.loads(cli("store", "latbench.sqlite", "--json"))
    assert measured["measured"] == 40
    assert measured["noise_floor"] < 0.05
    both = ("compare", "--predictor", "ridge-cost", "--predictor", "ridge-counts")
    (compared,) = json.loads(cli(*both, "--json"))
    assert compared["recommended"]["name"] in ("ridge-cost", "ridge-counts")
    assert compared["recommended_for_search"]["name"] == "ridge-counts"
    said = " ".join(cli(*both, "--out", "page.html").split())
    assert "For a search: ridge-counts, which errs by" in (tmp_path / "page.html").read_text()
    assert "recommended: ridge-cost, which" in said
    assert "for a search: ridge-counts, which errs by" in said
    assert "ridge-cost has no gradient, but can be its --judge" in said
    assert "for a search: none of these" in cli("compare", "--predictor", "ridge-cost")
    assert all(p["costs"]["model_bytes"] > 0 for p in compared["predictors"])
    assert {p["name"] for p in compared["predictors"]} == {"ridge-cost", "ridge-counts"}
    cli("fit", "--predictor", "ridge-cost", "--out", "model")
    (predicted,) = json.loads(cli("predict", "--model", "model", "-n", "1", "--json"))
    assert predicted["latency_s"] > 0
    assert predicted["batch"] == 1
    assert compared["metric"] == "latency"
    assert {"mape", "rmse"} <= set(compared["predictors"][0]["metrics"])
    assert "ms" in cli("predict", "--model", "model", "-n", "1")


def test_saved_models_are_measured_by_their_folders(cli, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    space = parse_space("nasbench201(channels=4, cells=1, resolution=8)")
    network = space.build(space.reference())
    models = [Model("mine", network), Model("other", network, make_weights(network, seed=1))]
    for model in models:
        save_model(model, tmp_path / model.name)
    both = ("--model", "mine", "--model", "other", "--backend", FAKE)
    said = cli("measure", "--space", str(space), *both)
    assert "4 rows measured, 0 failed" in said
    said = cli("measure", *both, "-n", "3", "--retest", "0")
    # The two were timed twice: they are the sentinels of the set.
    assert "5 rows measured, 0 failed, 2 were there already" in said
    (found,) = json.loads(cli("store", "latbench.sqlite", "--json"))
    assert (found["measured"], found["named"]) == (5, 2)
    for store in ("a.sqlite", "b.sqlite"):
        cli("measure", "--space", str(space), *both, "-n", "10", "--store", store)
    (changed,) = json.loads(cli("changes", "a.sqlite", "b.sqlite", "--json"))
    assert {str(m) for m in models} < {row["architecture"] for row in changed["architectures"]}


def test_a_space_imports_the_layers_of_the_models_beside_it(
    cli: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without it, the model is refused, and no empty store is left behind."""
    (tmp_path / "beside.py").write_text(BESIDE)
    monkeypatch.syspath_prepend(tmp_path)
    b = NetworkBuilder((1, 3, 4, 4))
    kind = importlib.import_module("beside").Nothing
    save_model(Model("mine", b.build(b.add(kind(), b.input))), tmp_path / "mine")
    model = ("measure", "--backend", FAKE, "--model", "mine", "--no-parity", "--store", "s.sqlite")
    monkeypatch.delitem(sys.modules, "beside")
    with pytest.raises(AssertionError, match=r"beside.*is not imported"):
        cli(*model)
    assert not list(tmp_path.glob("s.sqlite*"))
    assert "rows measured, 0 failed" in cli(*model, "--space", "beside:Own(channels=4, cells=1)")


def test_every_backend_of_a_store_is_compared(cli, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    space = "nasbench201(channels=4, cells=1, resolution=8)"
    for option in ("noise=0.01", "noise=0.02"):
        cli("measure", "--space", space, "--backend", "latbench.testing.fake:CostModelBackend",
            "-n", "24", "--option", option)  # fmt: skip
    written = ("--out", "page.html", "--plot", "plot.svg")
    printed = cli("compare", "--predictor", "ridge-cost", "--curves", *written)
    assert "ridge-cost on" in (tmp_path / "plot.svg").read_text()
    assert printed.count("recommended: ridge-cost") == 2
    page = (tmp_path / "page.html").read_text()
    assert page.count("Recommended: ridge-cost") == 2
    assert "Predictions a second" in page
    assert page.count("<h3>Learning curves</h3>") == 2
    (one,) = json.loads(cli("compare", "--predictor", "ridge-cost", "--set", "2", "--json"))
    assert one["samples"] == 24
    # A third set, of a single network that somebody named, as when a search's find is checked.
    named = str(parse_space(space).reference())
    cli("measure", "--space", space, "--backend", "latbench.testing.fake:CostModelBackend",
        "--option", "noise=0.03", named)  # fmt: skip
    compared = json.loads(cli("compare", "--predictor", "ridge-cost", "--json"))
    assert [one["samples"] for one in compared] == [24, 24]


def test_model_size_is_a_metric_like_latency(cli, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    space = "nasbench201(channels=4, cells=1, resolution=8)"
    cli("measure", "--space", space, "--backend", "latbench.testing.fake:CostModelBackend",
        "-n", "30")  # fmt: skip
    options = ("--metric", "size", "--predictor", "ridge-cost")
    (compared,) = json.loads(cli("compare", *options, "--json"))
    assert (compared["metric"], compared["unit"]) == ("size", "bytes")
    assert "RMSE MiB" in cli("fit", *options, "--out", "model")
    (row,) = json.loads(cli("predict", "--model", "model", "-n", "1", "--json"))
    assert set(row) == {
        "architecture", "model_bytes", "novelty", "unlike_training", "outside_range",
    }  # fmt: skip
    network = parse_space(space).build(parse_space(space).parse(row["architecture"]))
    assert row["model_bytes"] == pytest.approx(4 * network.parameters, rel=0.1)


def test_compare_backends(cli, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    space = "darts(channels=4, cells=3, resolution=16)"
    arguments = ("compare-backends", "--space", space, "-n", "5", "--backend", "onnxruntime",
                 "--backend", FAKE, "--out", "page.html")  # fmt: skip
    first, second = json.loads(cli(*arguments, "--json"))
    assert (first["backend"], first["speedup"]) == ("onnxruntime", 1.0)
    ratio = second["median_latency_s"] / first["median_latency_s"]
    assert 0 < second["speedup"] < 10 / ratio
    assert second["spearman"][FAKE] == 1
    assert -1 <= second["spearman"]["onnxruntime"] == first["spearman"][FAKE] <= 1
    assert "Backend against backend" in (tmp_path / "page.html").read_text()
    table = cli(*arguments)
    assert "Spearman" in table
    assert "1.00 x" in table


def test_a_command_is_what_a_person_can_hold() -> None:
    """Its options are declared by themselves, and what it does is in functions of their own."""
    for path in (ROOT / "latbench" / "cli").rglob("*.py"):
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, ast.FunctionDef):
                assert (node.end_lineno or 0) - node.lineno < 60, f"{path.name}: {node.name}"
