from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from latbench.backends import (
    BUILT_IN,
    Availability,
    Backend,
    Session,
    backend_class,
    backend_names,
    backend_spec,
    list_backends,
    list_variants,
    make_backend,
    require,
)
from latbench.errors import BackendUnavailable, ParseError, UsageError
from latbench.models import Model
from latbench.testing import CostModelBackend

ROOT = Path(__file__).parents[2]
FRAMEWORKS = ("torch", "onnxruntime", "onnx", "pydantic", "sklearn")


def python(code: str, *path: Path) -> Any:
    """What ``code`` prints as JSON in a fresh process with ``path`` in front of sys.path."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": ":".join(str(p) for p in (*path, ROOT))},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return json.loads(done.stdout)


def distribution(folder: Path, name: str, entry_points: str = "") -> Path:
    """A folder with the metadata of an installed distribution."""
    info = folder / f"{name.replace('-', '_')}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    if entry_points:
        (info / "entry_points.txt").write_text(f"[latbench.backends]\n{entry_points}\n")
    return folder


PLUGIN = """
from dataclasses import dataclass
from typing import ClassVar
from latbench.backends.base import Availability, Backend

@dataclass(frozen=True)
class Mine(Backend):
    name: ClassVar[str] = "mine"
    threads: int = 1
    def availability(self): return Availability(True, version="7")
    def load(self, model): raise NotImplementedError

@dataclass(frozen=True)
class Rude(Mine):
    name: ClassVar[str] = "rude"
    def availability(self): raise OSError("no driver")
"""


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    folder = distribution(tmp_path / "good", "good-plugin", "mine = good_plugin:Mine\n"
                          "rude = good_plugin:Rude\nonnxruntime = good_plugin:Mine")  # fmt: skip
    (folder / "good_plugin.py").write_text(PLUGIN)
    return folder


def test_table_is_sorted_and_importable() -> None:
    assert list(BUILT_IN) == sorted(BUILT_IN)
    for name in BUILT_IN:
        cls = backend_class(name)
        assert cls.name == name
        assert not cls.simulated
        assert cls() == make_backend(name)


def test_importing_the_registry_imports_no_framework() -> None:
    code = "import json, sys, latbench.backends as b; b.backend_names(); "
    loaded = python(code + f"print(json.dumps([m for m in {FRAMEWORKS} if m in sys.modules]))")
    assert loaded == []


def test_a_third_party_is_found_through_its_metadata(plugin: Path) -> None:
    code = """
import json
from latbench.backends import backend_names, backend_spec, make_backend
mine = make_backend("mine", threads=3)
print(json.dumps([backend_names(), backend_spec(mine), type(make_backend("onnxruntime")).__name__]))
"""
    names, spec, built_in = python(code, plugin)
    assert names == sorted([*BUILT_IN, "mine", "rude"])
    assert spec == ["mine", {"threads": 3}]
    assert built_in == "OnnxRuntime", "a plug-in took over a built-in name"


LISTING = """
import json
from dataclasses import asdict
from latbench.backends import list_backends
print(json.dumps({name: asdict(found) for name, found in list_backends()}))
"""


def test_broken_plugins_are_listed_and_hurt_nobody(plugin: Path, tmp_path: Path) -> None:
    points = "absent = no_such_module:X\nfails = fails_plugin:X\nnothing = good_plugin:PI"
    broken = distribution(tmp_path / "bad", "bad-plugin", points)
    (broken / "fails_plugin.py").write_text("raise RuntimeError('driver too old')")
    found = python(LISTING, plugin, broken)
    assert found["mine"] == {"ready": True, "reason": "", "remedy": "", "version": "7"}
    for name, reason in {
        "absent": "No module named 'no_such_module'",
        "fails": "RuntimeError: driver too old",
        "nothing": "has no attribute 'PI'",
    }.items():
        assert not found[name]["ready"]
        assert reason in found[name]["reason"]
        assert "uninstall bad-plugin" in found[name]["reason"]
    assert "OSError: no driver" in found["rude"]["reason"]


def test_a_name_claimed_twice_is_refused(plugin: Path, tmp_path: Path) -> None:
    second = distribution(tmp_path / "second", "second-plugin", "mine = good_plugin:Rude")
    found = python(LISTING, plugin, second)
    assert "registered more than once, by good-plugin and second-plugin" in found["mine"]["reason"]
    assert found["onnxruntime"]["reason"] == ""


def test_one_distribution_found_twice_is_no_conflict(plugin: Path, tmp_path: Path) -> None:
    again = distribution(tmp_path / "again", "good-plugin", "mine = good_plugin:Mine")
    assert python(LISTING, plugin, again)["mine"]["ready"]


def test_an_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(BackendUnavailable, match=r"did you mean 'onnxruntime'.*torch-eager"):
        make_backend("onnxruntme")


@pytest.mark.parametrize(
    "reference",
    [
        "latbench.networks.network:Network",
        "no.such:Thing",
        "latbench.networks.network:nothing",
        ":",
        "a:",
    ],
)
def test_a_dotted_path_must_lead_to_a_backend(reference: str) -> None:
    with pytest.raises(BackendUnavailable):
        make_backend(reference)


def test_a_file_names_only_what_is_imported() -> None:
    """See tests/foreign for the commands."""
    path = "latbench.testing.fake:CostModelBackend"
    assert backend_class(path, "the store x") is CostModelBackend
    assert make_backend(path, "the store x", seed=3) == CostModelBackend(seed=3)
    assert backend_class("onnxruntime", "the store x").name == "onnxruntime"
    refused = "^the store x names the backend 'antigravity:X', whose module is not imported"
    for name, error, says in (
        ("antigravity:X", ParseError, refused),
        ("rm -rf .:X", ParseError, "no module:Class"),
        ("os:system", BackendUnavailable, "which is no Backend"),
        ("onnxruntme", BackendUnavailable, "did you mean 'onnxruntime'"),
    ):
        with pytest.raises(error, match=says):
            backend_class(name, "the store x")
    assert "antigravity" not in sys.modules


def test_spec_of_an_unregistered_backend_is_its_path() -> None:
    backend = CostModelBackend(seed=3)
    name, options = backend_spec(backend)
    assert name == "latbench.testing.fake:CostModelBackend"
    assert make_backend(name, **json.loads(json.dumps(options))) == backend


def test_spec_of_a_local_class_is_refused() -> None:
    class Local(Backend):
        name = "local"

        def availability(self) -> Availability:
            return Availability(False, "it is gone", "bring it back")

        def load(self, model: Model) -> Session:
            raise NotImplementedError

    with pytest.raises(UsageError, match="top level"):
        backend_spec(Local())
    with pytest.raises(BackendUnavailable, match="'local' cannot run here: it is gone; bring it"):
        require(Local())


def test_names_and_listing_agree() -> None:
    assert [name for name, _ in list_backends()] == list(backend_names())
    for _, found in list_backends():
        assert found.ready or found.reason


def test_what_can_run_on_cuda_is_asked_for_it_too() -> None:
    rows = [(name, options) for name, options, _ in list_variants()]
    assert [name for name, options in rows if not options] == list(backend_names())
    assert ("onnxruntime", {"provider": "cuda"}) in rows
    assert ("torch-eager", {"device": "cuda"}) in rows
    for _, _, found in list_variants():
        assert found.ready or (found.reason and found.remedy)


def test_broken_plugins_do_not_hide_the_variants_of_others(tmp_path: Path) -> None:
    broken = distribution(tmp_path / "bad", "bad-plugin", "absent = no_such_module:X")
    listing = LISTING.replace("list_backends", "list_variants").replace(
        "{name: asdict(found) for name, found in", "[[n, o, f.ready] for n, o, f in"
    )
    rows = python(listing.replace("()}))", "()]))"), broken)
    assert ["absent", {}, False] in rows
    assert ["torch-eager", {"device": "cuda"}] in [row[:2] for row in rows]
