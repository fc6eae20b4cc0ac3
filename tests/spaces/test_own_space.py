"""``docs/own-space.md``: its space, its commands, and what files may say of it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from doc_pages import DOCS, files_of, follow
from stored import make_set, row

from latbench.errors import ParseError, UsageError
from latbench.predictors import make_predictor
from latbench.predictors.model import LatencyModel
from latbench.spaces import (
    SPACES,
    make_space,
    parse_space,
    shown_space,
    space_from_identity,
    space_names,
)
from latbench.spaces.absent import AbsentSpace
from latbench.spaces.base import SearchSpace
from latbench.spaces.internal.isolated import IsolatedConfig, IsolatedLayers
from latbench.store import Store
from latbench.store.dataset import LatencyDataset

TEXT = "my_space:MySpace(channels=8, stages=1)"
BROKEN = """
from my_space import MySpace, MyConfig

class Bare(MySpace):
    __init__ = object.__init__

class Required(MySpace):
    def __init__(self, config): self.config = config

class Plain(MySpace):
    def __init__(self, config=None): self.config = {}

class Fails(MySpace):
    def __init__(self, config=None): raise ZeroDivisionError("no luck")

class Abstract(MySpace):
    from abc import abstractmethod
    @abstractmethod
    def more(self): ...

nothing = 3
"""
OF = """
from dataclasses import dataclass
from my_space import MyConfig, MySpace

@dataclass(frozen=True)
class OfConfig(MyConfig):
    of: str = "my own words"

class Of(MySpace):
    def __init__(self, config=None): self.config = config or OfConfig()
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where ``my_space.py`` of the page is found, and not imported yet."""
    text = files_of(DOCS / "own-space.md")["my_space.py"]
    (tmp_path / "my_space.py").write_text(text)
    (tmp_path / "broken.py").write_text(BROKEN)
    (tmp_path / "of.py").write_text(OF)
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("my_space", "broken", "of"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))  # put back afterwards
        del sys.modules[name]
    return tmp_path


def forget() -> None:
    del sys.modules["my_space"]


@pytest.mark.slow
def test_the_page_does_what_it_says(tmp_path: Path) -> None:
    out = follow("own-space.md", tmp_path)
    assert "saved in models/mine" in out
    with pytest.raises(ParseError, match="LATBENCH_TRUST=my_space"):
        Store(tmp_path / "mine.sqlite")


def test_the_space_of_the_page(folder: Path) -> None:
    exec(files_of(DOCS / "own-space.md")["check_my_space.py"], {})  # noqa: S102
    space = parse_space(TEXT)
    assert str(space).startswith(
        "my_space:MySpace(channels=8, stages=1, widths=(0.75 1.0 1.25), classes=10,"
    )
    assert parse_space(str(space)) == space == space_from_identity(space.identity())
    assert space_from_identity(json.loads(json.dumps(space.identity()))) == space
    assert space.size == 3 * (6**2 + 6**3 + 6**4)
    assert parse_space("my_space:MySpace").size > 10**25
    whole, floats = (parse_space(f"my_space:MySpace(widths={w})") for w in ("(1 2)", "(1.0 2.0)"))
    assert len({whole, floats}) == 1
    assert str(whole) == str(floats)
    with pytest.raises(UsageError, match="no setting 'cells'"):
        parse_space("my_space:MySpace(cells=3)")
    for wrong in ("stages=0", "widths=3", "widths=(1.0 a)", "widths=()", "stages=1.5"):
        with pytest.raises(UsageError, match=f"^{wrong.split('=')[0]} must "):
            parse_space(f"my_space:MySpace({wrong})")
    with pytest.raises(ParseError, match=r"0.width is '9'; expected one of 6, 8, 10"):
        space.parse("0.width=9;0.depth=2;0.0=k3e3;0.1=k3e3")


def test_a_space_of_two_types_as_before_is_told_what_is_new() -> None:
    with pytest.raises(UsageError, match=r"got 2 types; .* docs/own-space.md"):
        SearchSpace[int, str]  # type: ignore[misc]


def test_a_store_imports_no_module(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, space = folder / "s.sqlite", parse_space(TEXT)
    with Store(path, space) as store:
        number = store.add_set(make_set(canary=str(space.reference())))
        store.add(number, row(0, architecture=str(space.sample(0, 0))))
    with Store(path) as store:
        assert store.space == space
    forget()
    with pytest.raises(ParseError, match=rf"^the store {path} names the space 'my_space:MySpace'"):
        Store(path)
    assert "my_space" not in sys.modules
    monkeypatch.setenv("LATBENCH_TRUST", "my_space")
    with Store(path) as store:
        assert str(store.space) == str(space)


def test_a_card_imports_no_module(folder: Path) -> None:
    space = parse_space(TEXT)
    few = [a for _, a in space.unique_samples(0, 20)]
    times = 1e-9 * np.array([space.build(a).macs for a in few], float)
    data = LatencyDataset(space, tuple(few), times, "fake", "cpu", None, {})
    LatencyModel.fit(data, make_predictor("ridge-cost")).save(folder / "m")
    assert LatencyModel.load(folder / "m").space == space
    forget()
    with pytest.raises(ParseError, match=r"^the card of .*; import my_space first, or set LATBEN"):
        LatencyModel.load(folder / "m")
    assert "my_space" not in sys.modules


def test_isolated_layers_of_a_file_import_no_module(folder: Path) -> None:
    space = IsolatedLayers(IsolatedConfig(of=TEXT))
    with pytest.raises(ParseError, match="a file may run no code"):
        space_from_identity(space.identity())
    with pytest.raises(ParseError, match="a file may run no code"):
        space.size  # noqa: B018
    assert "my_space" not in sys.modules
    assert space_from_identity(space.identity(), source=None).size > 3  # what a worker does


def test_a_setting_of_ones_own_may_be_named_of(folder: Path) -> None:
    """That of isolated layers names a space; another's means what it likes."""
    space = parse_space("of:Of(stages=2)")
    assert space_from_identity(space.identity()) == space
    del sys.modules["of"]
    assert isinstance(shown_space(space.identity(), "a file"), AbsentSpace)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("broken:Bare", "cannot be made: its config .* got None; .*constructed by Bare.config."),
        ("broken:Required", "TypeError.*by Required.. with its default config"),
        ("broken:Fails", "ZeroDivisionError: no luck"),
        ("broken:Abstract", "abstract"),
        ("broken:Plain", "config must be a dataclass, got {}"),
        ("broken:nothing", "is '3', which is no SearchSpace"),
        ("broken:absent", "has no attribute 'absent'"),
        ("no_such:Space", "No module named 'no_such'"),
        ("mine", "resnet, spos, or module:Class for one of your own"),
    ],
)
def test_a_wrong_class_is_one_sentence(folder: Path, name: str, says: str) -> None:
    with pytest.raises(UsageError, match=says) as raised:
        parse_space(f"{name}(channels=8)")
    assert "\n" not in str(raised.value)


def test_an_installed_one_goes_by_its_name(folder: Path) -> None:
    info = folder / "mine-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[latbench.spaces]\nmine = my_space:MySpace\n")
    assert space_names() == (*SPACES, "mine")
    identity: dict[str, Any] = json.loads(json.dumps(make_space("mine").identity()))
    assert identity["name"] == "mine"
    forget()
    assert str(space_from_identity(identity)).startswith("mine(channels=16,")
