"""A model's folder comes back as what was saved, or not at all."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import networks

from latbench.errors import ParseError, UsageError
from latbench.models import Model, model_folder, read_model, save_model
from latbench.models.model_folder import NETWORK_FILE, WEIGHTS_FILE
from latbench.networks.network import Network
from latbench.networks.weights import make_weights
from latbench.testing.networks import conv_chain

TINY = conv_chain(layers=2, channels=4, resolution=6)
TRAINED = Model("λ = 0.5, seed 1", TINY, make_weights(TINY, seed=1))


@settings(deadline=None, max_examples=40)
@given(network=networks(), seed=st.none() | st.integers(0, 3), name=st.sampled_from(["a", "ä b/c"]))
def test_a_model_comes_back(
    tmp_path_factory: pytest.TempPathFactory, network: Network, seed: int | None, name: str
) -> None:
    weights = None if seed is None else make_weights(network, seed)
    model, folder = Model(name, network, weights), tmp_path_factory.mktemp("m") / "deep" / "m"
    save_model(model, folder)
    again = read_model(folder)
    assert (again.name, again.network, str(again)) == (name, network, str(model))
    assert (again.weights is None) == (weights is None)
    for key, array in (again.weights or {}).items():
        np.testing.assert_array_equal(array, model.arrays[key])
        assert array.flags.writeable


def test_what_was_tuned_for_a_model_is_kept_and_changes_nothing_of_its_text(tmp_path: Path) -> None:
    tuned = Model(TRAINED.name, TINY, TRAINED.weights, {"a runtime": [{"tiles": [1, 2]}]})
    assert (str(tuned), tuned) == (str(TRAINED), TRAINED)
    save_model(tuned, tmp_path / "m")
    assert read_model(tmp_path / "m").tuned == tuned.tuned
    save_model(TRAINED, tmp_path / "m")
    assert read_model(tmp_path / "m").tuned == {}


def test_saving_replaces_an_older_model_and_nothing_else(tmp_path: Path) -> None:
    save_model(TRAINED, tmp_path / "m")
    save_model(Model("b", TINY), tmp_path / "m")
    assert read_model(tmp_path / "m") == Model("b", TINY)
    assert [p.name for p in (tmp_path / "m").iterdir()] == [NETWORK_FILE]
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.tex").write_text("x")
    with pytest.raises(UsageError, match="exists and is no saved model"):
        save_model(TRAINED, tmp_path / "home")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["home", "m"]


@pytest.mark.parametrize("name", ["", "  ", "two\nlines", "a\0b"])
def test_a_name_is_one_line(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="a name of one line"):
        save_model(Model(name, TINY), tmp_path / "m")
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_are_finite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: float) -> None:
    weights = make_weights(TINY)
    name = max(weights)
    weights[name] = np.full_like(weights[name], value)
    model = Model("mine", TINY, weights)
    with pytest.raises(UsageError, match=f"^the model 'mine' has NaN or .* weight '{name}'; save"):
        save_model(model, tmp_path / "m")
    assert not any(tmp_path.iterdir())
    with monkeypatch.context() as patch:  # as latbench wrote them before
        patch.setattr(model_folder, "_check_finite", lambda *_: None)
        save_model(model, tmp_path / "m")
    with pytest.raises(ParseError, match=f"m has NaN or infinity in its weight '{name}'; save"):
        read_model(tmp_path / "m")


def edited(key: str, value: object) -> Callable[[Path], object]:
    def edit(folder: Path) -> None:
        path = folder / NETWORK_FILE
        path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))

    return edit


def other_weights(folder: Path) -> None:
    save_model(Model("other", TINY, make_weights(TINY, seed=2)), folder.with_name("other"))
    shutil.copy(folder.with_name("other") / WEIGHTS_FILE, folder / WEIGHTS_FILE)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "no JSON": lambda m: (m / NETWORK_FILE).write_text("{"),
    "a list": lambda m: (m / NETWORK_FILE).write_text("[1, 2]"),
    "no text": lambda m: (m / NETWORK_FILE).write_bytes(b"\xff\xfe\x00"),
    "nothing": lambda m: (m / NETWORK_FILE).unlink(),
    "a later format": edited("format", 2),
    "no layers": edited("layers", []),
    "no name and digest": edited("text", None),
    "another digest": edited("text", f"{TRAINED.name}@{'0' * 16}"),
    "no name": edited("name", None),
    "another name": edited("name", "mine"),
    "tuned for nothing": edited("tuned", None),
    "said to be without weights": edited("weights", False),
    "weights missing": lambda m: (m / WEIGHTS_FILE).unlink(),
    "weights cut": lambda m: (m / WEIGHTS_FILE).write_bytes((m / WEIGHTS_FILE).read_bytes()[:-9]),
    "weights long": lambda m: (m / WEIGHTS_FILE).write_bytes(bytes(10**6)),
    "weights of another": other_weights,
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_folder_is_refused_in_a_sentence(tmp_path: Path, damage: str) -> None:
    save_model(TRAINED, tmp_path / "m")
    DAMAGES[damage](tmp_path / "m")
    with pytest.raises(ParseError, match=r"^.{20}[^\n]*$") as raised:
        read_model(tmp_path / "m")
    assert "made again" not in str(raised.value)  # nothing but its owner makes it


def test_what_is_no_folder_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for path in (tmp_path / "nothing", tmp_path, tmp_path / "file"):
        with pytest.raises(ParseError, match="there is no saved model at"):
            read_model(path)


def test_a_failed_save_leaves_the_old_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_model(TRAINED, tmp_path / "m")

    def disk_full(*_: object, **__: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(Path, "write_text", disk_full)
    with pytest.raises(OSError, match="no space left"):
        save_model(Model("b", TINY), tmp_path / "m")
    assert [p.name for p in tmp_path.iterdir()] == ["m"]
    assert read_model(tmp_path / "m") == TRAINED
