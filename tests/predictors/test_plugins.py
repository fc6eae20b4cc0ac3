"""Predictors of others: by ``module:Class`` and by entry points; files import no module."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from latbench.errors import UsageError
from latbench.predictors import make_predictor

ROOT = Path(__file__).parents[2]
MODULE = """
import pathlib
from abc import abstractmethod
from typing import ClassVar
import numpy as np
from latbench.predictors.base import LatencyPredictor
from latbench.predictors.safe_arrays import take

pathlib.Path("imported").touch()

class Mean(LatencyPredictor):
    name: ClassVar[str] = "mean"
    encoding: ClassVar[str] = "cost"
    def __init__(self, by=1.0): self.by = by
    def check_params(self): pass
    def _fit(self, X, y): self.rates_ = np.full(X.shape[1], self.by * y.mean() / X.mean())
    def _predict(self, X): return X @ self.rates_
    def _arrays(self): return {"rates": self.rates_}
    def _restore(self, arrays):
        self.rates_ = take(arrays, "rates", (None,), np.float64)
        return len(self.rates_)

class Misnamed(Mean):
    name: ClassVar[str] = "average"

class Rough(Mean):
    @abstractmethod
    def more(self): ...

def other(): pass
"""
FIT = """
import sys
import numpy as np
from latbench.store.dataset import LatencyDataset
from latbench.predictors import make_predictor
from latbench.predictors.model import LatencyModel
from latbench.spaces import nasbench201
space = nasbench201(channels=2, cells=1, resolution=4)
few = tuple(a for _, a in space.unique_samples(0, 30))
macs = np.array([space.build(a).macs for a in few], float)
data = LatencyDataset(space, few, 1e-3 + macs * 1e-9, "fake", "cpu", None, {})
def save(predictor, to="m"):
    LatencyModel.fit(data, predictor).save(to)
"""
LOAD = """
from latbench.errors import UsageError
from latbench.predictors.model import LatencyModel
def load():
    try:
        model = LatencyModel.load("m")
    except UsageError as error:
        print(type(error).__name__, error)
    else:
        print(type(model.predictor).__name__, model.predictor.get_params())
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "own_mean.py").write_text(MODULE)
    return tmp_path


def python(folder: Path, code: str, **env: str) -> str:
    """What ``code`` prints in a fresh process, with ``folder`` as its place and on its path."""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, timeout=120,
        env={"PYTHONPATH": f"{folder}:{ROOT}", "PATH": "", "OMP_NUM_THREADS": "1", **env},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of the predictor of one's own, fitted once."""
    place = tmp_path_factory.mktemp("saved")
    (place / "own_mean.py").write_text(MODULE)
    python(place, FIT + "save(make_predictor('own_mean:Mean', by=2.0))")
    return place / "m"


def fit(folder: Path, name: str) -> dict[str, object]:
    """The card of a model of a predictor of one's own; nothing is left imported."""
    python(folder, FIT + f"save(make_predictor({name!r}, by=2.0))")
    (folder / "imported").unlink()
    card: dict[str, object] = json.loads((folder / "m" / "card.json").read_text())
    return card


def register(folder: Path, name: str, points: str) -> None:
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[latbench.predictors]\n{points}\n")


def test_a_card_imports_no_module(folder: Path, saved: Path) -> None:
    shutil.copytree(saved, folder / "m")
    assert json.loads((folder / "m" / "card.json").read_text())["predictor"] == "own_mean:Mean"
    said = python(folder, LOAD + "load()")
    assert said == (
        "ParseError the card of m names the predictor 'own_mean:Mean', whose module is not "
        "imported, and a file may run no code; import own_mean first, or set "
        "LATBENCH_TRUST=own_mean"
    )
    assert not (folder / "imported").exists()


def test_a_card_is_read_with_its_module_imported_or_trusted(folder: Path, saved: Path) -> None:
    shutil.copytree(saved, folder / "m")
    loaded = "Mean {'by': 2.0}"
    assert python(folder, "import own_mean\n" + LOAD + "load()") == loaded
    assert python(folder, LOAD + "load()", LATBENCH_TRUST="other, own_mean") == loaded
    (folder / "imported").unlink()
    assert python(folder, LOAD + "load()", LATBENCH_TRUST="own").startswith("ParseError")
    assert not (folder / "imported").exists()


NO_PREDICTORS = {
    "os:system": "which is no LatencyPredictor",
    "latbench.predictors:MLP": "no attribute 'MLP'",  # its __getattr__ would import
    "latbench.predictors.base:LatencyPredictor": "has no name",
    "own_mean; rm -rf .:Mean": "no module:Class",
    ":": "no module:Class",
    "own_mean:": "no module:Class",
    "own_mean:Mean.fit": "no module:Class",
    ".own_mean:Mean": "no module:Class",
    "own_mean": "unknown predictor",
}


def test_a_card_names_nothing_else(folder: Path, saved: Path) -> None:
    shutil.copytree(saved, folder / "m")
    card = json.loads((folder / "m" / "card.json").read_text()) | {"params": {}}
    cards = [json.dumps(card | {"predictor": name}) for name in NO_PREDICTORS]
    code = f"for card in {cards!r}:\n  open('m/card.json', 'w').write(card); load()"
    said = python(folder, LOAD + code).splitlines()
    for line, says in zip(said, NO_PREDICTORS.values(), strict=True):
        assert line.startswith("ParseError")
        assert says in line
    assert not (folder / "imported").exists()


@pytest.mark.slow
def test_an_installed_one_goes_by_its_name(folder: Path) -> None:
    register(folder, "own", "mean = own_mean:Mean\nmlp = own_mean:Mean\nwrong = own_mean:Misnamed")
    assert fit(folder, "mean")["predictor"] == "mean"
    assert python(folder, LOAD + "load()") == "Mean {'by': 2.0}"
    code = "from latbench.predictors import predictor_names; print(predictor_names()[-2:])"
    listed = python(folder, code)
    assert listed == "('mean', 'wrong')"
    assert python(folder, FIT + "print(type(make_predictor('mlp')).__name__)") == "MLP"
    code = "from latbench.predictors import make_predictor, require_predictor\ntry: {}"
    code += "\nexcept ValueError as error: print(error)"
    said = python(folder, code.format("make_predictor('wrong')"))
    assert "calls itself 'average'" in said
    said = python(folder, code.format("require_predictor('own_mean:Mean')"))
    assert said.endswith("is registered as 'mean'; name it so")
    register(folder, "again", "mean = own_mean:Misnamed")
    said = python(folder, code.format("make_predictor('mean')"))
    assert "registered more than once, by again and own" in said


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("proportional", "or module:Class for one of your own"),
        ("no_such:Thing", "No module named 'no_such'"),
        ("own_mean:nothing", "no attribute 'nothing'"),
        ("own_mean:other", "which is no LatencyPredictor"),
        ("latbench.predictors.base:LatencyPredictor", "has no name"),
        ("own_mean:Rough", "abstract"),
        (":", "cannot be imported"),
    ],
)
def test_a_wrong_name_is_one_sentence(
    folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, says: str
) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(folder)
    with pytest.raises(UsageError, match=says):
        make_predictor(name)


def test_a_local_class_is_not_saved(folder: Path) -> None:
    code = (
        "from own_mean import Mean\ndef inner():\n  class Mine(Mean): name = 'mine'\n  return Mine"
    )
    code = f"{FIT}{code}\ntry: save(inner()())\nexcept ValueError as error: print(error)"
    assert "at the top level of its module" in python(folder, code)
    assert not (folder / "m").exists()


def test_the_command_line_takes_it(folder: Path) -> None:
    code = """
from stored import fill
from pathlib import Path
from latbench.store import Store
with Store(fill(Path("latbench.sqlite"), n=24)) as store:
    print(next(s.id for s in store.sets() if s.ok > 1))
"""
    (number,) = python(folder, code, PYTHONPATH=f"{ROOT / 'tests'}:{ROOT}").split()
    run = "import sys; from latbench.__main__ import main; sys.argv[1:] = {}; main()"
    fitted = ["fit", "--predictor", "own_mean:Mean", "--set", number, "--out", "m"]
    assert "saved in m" in python(folder, run.format(fitted))
    compared = ["compare", "--predictor", "own_mean:Mean", "--set", number, "--json"]
    (found,) = json.loads(python(folder, run.format(compared)))
    assert [p["name"] for p in found["predictors"]] == ["own_mean:Mean"]


@pytest.mark.slow  # 5 s
def test_an_experiment_takes_it(folder: Path) -> None:
    code = """
from contextlib import contextmanager
from pathlib import Path
from latbench.experiment.toml_file import parse_experiment
from latbench.experiment.stages import _predict_backend
config = parse_experiment('''
title = "t"
[space]
name = "nasbench201"
[[backends]]
name = "torch-eager"
[predict]
compare = ["own_mean:Mean", "ridge-cost"]
penalty = "own_mean:Mean"
folds = 2
''', Path("x.toml"))
class Bars:
    @contextmanager
    def bar(self, text):
        yield lambda done, total, note: None
_predict_backend(data, config.predict, Path("p"), Bars())
print(LatencyModel.load("p/own_mean:Mean").card.predictor)
"""
    assert python(folder, FIT + code) == "own_mean:Mean"
    names = [p["name"] for p in json.loads((folder / "p/comparison.json").read_text())["results"]]
    assert names == ["own_mean:Mean", "ridge-cost"]
