"""A space, a predictor, a method, a layer kind and a backend from outside, each in one file, do the
whole job together, and nothing of latbench is edited.

The files are those of the pages that say how: ``docs/own-space.md`` (a chain of more than 10^25
architectures with open widths and depths), ``own-layer.md``, ``own-predictor.md``,
``own-method.md`` and the example plug-in of ``plugin.md``.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from doc_pages import DOCS, ROOT, files_of

from latbench.backends import make_backend
from latbench.campaign import run_campaign
from latbench.models import read_model
from latbench.spaces import parse_space
from latbench.store import Store
from latbench.testing import check_space
from latbench.timing.protocol import Protocol

Cli = Callable[..., tuple[int, str, str]]
# Page -> the file of it that is taken.
FILES = {
    "own-space.md": "my_space.py", "own-layer.md": "my_layers.py",
    "own-predictor.md": "additive_predictor.py", "own-method.md": "several_draws.py",
}  # fmt: skip
# The space of the page with the layer kind of the other page.
TOGETHER = """
from my_layers import Gelu
from my_space import MySpace

class GeluSpace(MySpace):
    name = "gelu-chains"
    activation = Gelu()
"""
SPACE = "together:GeluSpace(channels=2, stages=1, widths=(1.0 2.0), resolution=6, in_channels=1)"
BACKEND = "latbench_onnx_reference:OnnxReference"
PREDICTOR = "additive_predictor:Additive"
EXPERIMENT = f"""
title = "all from outside"
[space]
name = "together:GeluSpace"
channels = 2
stages = 1
widths = [1.0, 2.0]
resolution = 6
in_channels = 1
[[backends]]
name = "{BACKEND}"
[protocol]
min_visits = 2
max_visits = 2
[measure]
n = 24
retest = 0.3
[predict]
compare = ["{PREDICTOR}", "ridge-cost", "ridge-layers"]
penalty = "{PREDICTOR}"
[search]
backend = "{BACKEND}"
penalty_weights = []
targets = ["95%"]
limit = 48
[search.settings]
method = "several_draws:SeveralDraws(draws=1)"
epochs = 1
batch = 24
channels = 2
alpha_learning_rate = 0.1
[train]
epochs = 1
batch = 24
"""


@pytest.fixture
def outside(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cli]:
    """The files, where Python finds them, also in workers, and trusted as a user trusts them."""
    for page, name in FILES.items():
        (tmp_path / name).write_text(files_of(DOCS / page)[name])
    (tmp_path / "together.py").write_text(TOGETHER)
    shutil.copy(ROOT / "examples" / "backend_plugin" / "latbench_onnx_reference.py", tmp_path)
    modules = [path.stem for path in tmp_path.glob("*.py")]
    monkeypatch.syspath_prepend(tmp_path)
    before = os.environ.get("PYTHONPATH")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(tmp_path), before])))
    monkeypatch.setenv("LATBENCH_TRUST", ",".join(modules))
    known = {name: sys.modules.pop(name, None) for name in modules}
    yield cli
    for name, module in known.items():
        sys.modules.pop(name, None)
        if module is not None:
            sys.modules[name] = module


def done(result: tuple[int, str, str]) -> str:
    code, out, err = result
    assert code == 0, err
    return out


@pytest.mark.slow  # half a minute; each from outside has a quick test of its own kind
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_all_from_outside_do_the_whole_job(outside: Cli, tmp_path: Path) -> None:
    space = parse_space(SPACE)
    check_space(space, samples=5)
    assert parse_space("together:GeluSpace").size > 10**25
    kinds = {type(op).__name__ for op, _ in space.layer_kinds()}
    assert "Gelu" in kinds

    # Measured, compared, fitted, searched under a limit, trained, verified, reported and drawn.
    (tmp_path / "e.toml").write_text(EXPERIMENT)
    done(outside("run", "e.toml", "--out", "out"))
    page = next((tmp_path / "out").glob("*.html")).read_text()
    assert "several_draws:SeveralDraws" in page
    assert "0.depth=" in page
    assert 'class="cell"' in page  # the drawing
    (path,) = (tmp_path / "out").rglob("result.json")
    result = json.loads(path.read_text())["result"]
    assert space.parse(result["architecture"])
    assert result["asked"] == "95%"
    assert result["met"] is not None
    models = list((tmp_path / "out").rglob("model-*/network.json"))
    assert models
    assert "my_layers:Gelu" in models[0].read_text()

    # By single steps: a store of its own with the trained model, predictions, a transfer.
    store, model = ("--store", "s.sqlite"), read_model(models[0].parent)
    with Store("s.sqlite", space) as opened:
        few = Protocol(min_visits=2, max_visits=2)
        backend = make_backend(BACKEND)
        found = run_campaign(opened, backend, n=20, seed=1, protocol=few, models=[model])
        assert opened.value(found.set_id, str(model))
    assert "additive" in done(outside("compare", *store, "--predictor", PREDICTOR))
    done(outside("fit", *store, "--predictor", PREDICTOR, "--out", "model"))
    predicted = json.loads(done(outside("predict", "--model", "model", "-n", "2", "--json")))
    assert len(predicted["predictions"] if isinstance(predicted, dict) else predicted) == 2
    from_, to = next((tmp_path / "out").rglob("*.sqlite")), "s.sqlite"
    assert "chosen" in done(outside("transfer", "--from", str(from_), "--to", to, "-n", "8"))
