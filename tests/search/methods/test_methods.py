"""The methods by name: their settings, texts and published presets."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import FrozenInstanceError, dataclass
from typing import Any, ClassVar

import pytest
from torch import Generator

from latbench.errors import ParseError, UsageError
from latbench.search import (
    Darts,
    DMasking,
    FBNet,
    Gdas,
    MsgDas,
    PcDarts,
    ProxylessNas,
    SearchConfig,
    SecondOrderDarts,
    SinglePath,
    TrainingFree,
)
from latbench.search.methods import (
    METHODS,
    Method,
    make_method,
    method_class,
    parse_method,
    settings_identity,
)
from latbench.search.methods.staged_paths import Hurricane
from latbench.spaces import darts
from latbench.validation import Positive


def test_names_are_those_of_the_classes() -> None:
    assert METHODS == (
        "darts", "darts-2nd", "pc-darts", "gdas", "msg-das", "fbnet", "dmasking", "proxylessnas",
        "hurricane", "single-path", "training-free",
    )  # fmt: skip
    classes = (
        Darts, SecondOrderDarts, PcDarts, Gdas, MsgDas, FBNet, DMasking, ProxylessNas,
        Hurricane, SinglePath, TrainingFree,
    )  # fmt: skip
    assert tuple(method_class(name) for name in METHODS) == classes
    assert tuple(cls.name for cls in classes) == METHODS
    assert [cls.order for cls in classes] == [1, 2, 1, 1, 1, 1, 1, 1, 0, 0, 0]


def test_their_names_and_settings_need_no_torch() -> None:
    code = (
        "import sys; from latbench.search.methods import METHODS, parse_method; "
        "from latbench.search.presets import published; "
        "[str(parse_method(name)) for name in METHODS]; published('gdas', 'cifar10', 'darts'); "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("text", "method", "whole"),
    [
        ("darts", Darts(), "darts"),
        ("darts-2nd()", SecondOrderDarts(), "darts-2nd"),
        ("pc-darts", PcDarts(4), "pc-darts(partial_channels=4)"),
        ("gdas( temperature = 5 )", Gdas(temperature=5),
         "gdas(temperature=5.0, final_temperature=0.1)"),
        ("single-path(images=20)", SinglePath(images=20),
         "single-path(budget=1000, population=50, crossover=0.5, evolve=true, images=20, "
         "calibration=2000, bins=0, lightest=0.88, heaviest=1.09, settled=0.0, least_epochs=10)"),
        ("training-free(score=naswot, evolve=False)", TrainingFree(evolve=False, score="naswot"),
         "training-free(budget=1000, population=50, crossover=0.5, evolve=false, score=naswot, "
         "images=128)"),
    ],
)  # fmt: skip
def test_a_text_is_a_method(text: str, method: Method, whole: str) -> None:
    assert parse_method(text) == method
    assert str(method) == whole
    assert parse_method(whole) == method
    assert SearchConfig(method=method).method == whole
    assert settings_identity(SearchConfig(method=text))["method"] == whole


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("dart", "unknown method 'dart'; did you mean 'darts' or 'darts-2nd'"),
        ("gdas(temprature=5)", "'gdas' has no setting 'temprature'; did you mean 'temperature'"),
        ("darts(k=4)", "method 'darts' has no setting 'k'; it has none"),
        ("gdas(temperature=0)", "method gdas's temperature must be at least 1e-06, got 0.0"),
        ("msg-das(final_temperature=1e-40)", "final_temperature must be at least 1e-06, got 1e-40"),
        ("msg-das(subgraphs=0)", "subgraphs must be at least 1, got 0"),
        ("gdas(final_temperature=hot)", "final_temperature must be a number, got 'hot'"),
        ("pc-darts(partial_channels=0)", "partial_channels must be at least 1, got 0"),
        ("pc-darts(partial_channels=2.0)", "partial_channels must be an integer, got 2.0"),
        ("single-path(images=1)", "images must be at least 2, got 1"),
        ("training-free(score=one-shot)", "score must be .*'synflow' or 'naswot', got 'one-shot'"),
        ("no_such_module:Mine", "No module named 'no_such_module'"),
        ("latbench.search.config:SearchConfig", "which is no Method"),
    ],
)
def test_a_wrong_method_is_one_sentence(text: str, says: str) -> None:
    with pytest.raises(UsageError, match=says) as error:
        parse_method(text)
    assert "\n" not in str(error.value)


def test_a_method_does_not_change() -> None:
    with pytest.raises(FrozenInstanceError):
        Gdas().temperature = 3.0  # type: ignore[misc]
    assert len({Gdas(), Gdas(10.0), Gdas(3.0)}) == 2


@dataclass(frozen=True)
class Fussy(Method):
    """One that cannot be made, of the settings that it has."""

    name: ClassVar[str] = "fussy"
    start: Positive = 2
    note: str = "a, b"

    def relaxation(self, space: Any, generator: Generator) -> Any:
        raise NotImplementedError


@dataclass(frozen=True)
class Needy(Fussy):
    """One whose constructor is not a dataclass's."""

    def __init__(self, budget: int) -> None:
        raise ZeroDivisionError("no luck")


def test_one_of_ones_own_goes_by_its_module() -> None:
    made = Fussy(3.5)
    text = f'{Fussy.__module__}:Fussy(start=3.5, note="a, b")'
    assert str(made) == text
    assert parse_method(text) == parse_method(text, "a file") == made
    with pytest.raises(UsageError, match=r"start must be above 0, got -1"):
        Fussy(-1)
    with pytest.raises(UsageError, match=r"cannot be made: .*; its class must be a frozen datacl"):
        make_method(f"{Fussy.__module__}:Needy", {})
    with pytest.raises(UsageError, match=r"'fussy' trains the weights alone and does not say"):
        made.choose(None)  # type: ignore[arg-type]


def test_a_file_imports_no_method() -> None:
    sys.modules.pop("colorsys", None)
    with pytest.raises(ParseError, match=r"the sweep names the method 'colorsys:Mine', whose mod"):
        parse_method("colorsys:Mine(draws=2)", "the sweep")
    assert "colorsys" not in sys.modules


def test_by_default_a_method_searches_every_space() -> None:
    for method in (Darts(), Gdas(), SinglePath()):
        method.check(darts(), SearchConfig())
