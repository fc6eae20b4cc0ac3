"""The widths of one network as a space."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from latbench.api import measure
from latbench.errors import ParseError, UsageError
from latbench.models import Model, save_model
from latbench.networks.blocks import classifier
from latbench.networks.channels import narrowed
from latbench.networks.mobile_blocks import conv_bn_act
from latbench.networks.network import NetworkBuilder
from latbench.networks.weights import make_weights
from latbench.spaces import AnySpace, make_space, parse_space, shown_space, space_from_identity
from latbench.spaces.absent import AbsentSpace
from latbench.spaces.internal.widths_space import WidthsConfig, WidthsSpace
from latbench.store import Store


def saved(folder: Path, name: str = "resnet", step: int = 4) -> WidthsSpace:
    space = make_space(name, dict(make_space(name).small))
    save_model(Model("a network", space.build(space.sample(0, 3))), folder / "model")
    made = parse_space(f"widths(model={folder / 'model'}, step={step})")
    assert isinstance(made, WidthsSpace)
    return made


@pytest.mark.parametrize("name", ["resnet", "ofa", "spos", "operators", "darts"])
def test_its_networks_are_those_that_pruning_leaves(name: str, tmp_path: Path) -> None:
    space = saved(tmp_path, name)
    network = space.config.network
    assert space.build(space.reference()) == network
    kinds = set(space.layer_kinds())
    for seed in range(3):
        architecture = space.sample(seed, 0)
        widths = space.widths(architecture)
        built = space.build(architecture)
        kept = {g.name: np.arange(g.size) < widths[g.name] for g in space.channels.groups}
        assert built == narrowed(space.channels, make_weights(network), kept)[0]
        assert {built.kind(layer) for layer in built.layers if layer.inputs} <= kinds
        assert space.parse(str(architecture)) == architecture
        assert all(n % 4 == 0 or n == g.size for g in space.channels.groups
                   for n in (widths[g.name],))  # fmt: skip


def test_it_has_the_networks_settings_and_knows_it_again(tmp_path: Path) -> None:
    space = saved(tmp_path)
    shape = (space.config.batch, space.config.in_channels, *[space.config.resolution] * 2)
    assert shape == space.config.network.input_shape
    assert space_from_identity(space.identity(), None) == space == parse_space(str(space))
    other = make_space("spos", dict(make_space("spos").small))
    save_model(Model("other", other.build(other.reference())), tmp_path / "model")
    with pytest.raises(UsageError, match=r"is another one \(.*\) than that of which these widths"):
        space_from_identity(space.identity(), None)


def test_it_is_shown_without_its_model(tmp_path: Path) -> None:
    space = saved(tmp_path)
    assert shown_space(space.identity(), "a store") == space
    (tmp_path / "model").rename(tmp_path / "moved")
    shown = shown_space(space.identity(), "a store")
    assert isinstance(shown, AbsentSpace)
    assert "there is no saved model at" in shown.note
    with pytest.raises(ParseError, match="there is no saved model at"):
        space_from_identity(space.identity())


def test_options_are_few_and_all_channels_are_one() -> None:
    config = WidthsConfig()
    assert config.options(32) == (8, 16, 24, 32)
    assert config.options(6) == (6,)
    assert config.options(20) == (8, 16, 20)
    assert config.options(640) == tuple(range(80, 641, 40))
    assert WidthsConfig(step=1, least=50).options(8) == (4, 5, 6, 7, 8)


def test_it_is_measured_like_any_other(tmp_path: Path) -> None:
    space: AnySpace = saved(tmp_path)
    with measure(space, "onnxruntime", n=3, store=tmp_path / "s.sqlite", progress=False) as store:
        assert len(store.dataset().values) >= 3
    with Store(tmp_path / "s.sqlite") as again:
        assert again.space == space


def test_what_has_no_widths_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="name its folder: widths"):
        _ = parse_space("widths").forest
    with pytest.raises(ParseError, match="no saved model at"):
        parse_space(f"widths(model={tmp_path / 'none'})")
    b = NetworkBuilder((1, 3, 4, 4))
    network = b.build(classifier(b, conv_bn_act(b, b.input, 8, 3), 2))
    save_model(Model("small", network), tmp_path / "small")
    with pytest.raises(UsageError, match="can be removed in steps of 8; take a smaller step"):
        _ = parse_space(f"widths(model={tmp_path / 'small'})").forest
    assert parse_space(f"widths(model={tmp_path / 'small'}, step=2)").size == 4
