"""The space of Once-for-all: its size, its counts, its published networks and its supernet."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from latbench.errors import UsageError
from latbench.networks.ops import Activation, Elementwise
from latbench.search.supernets.inherited import inherited
from latbench.search.supernets.supernet_module import Supernet, mix_all
from latbench.spaces import AnySpace, make_space

# Parameters and multiply-adds in millions, as the README of mit-han-lab/once-for-all prints them.
README = {
    "ofa_lg_24": (5.8, 230), "ofa_lg_16": (5.8, 151), "ofa_lg_11": (5.0, 103),
    "ofa_lg_8": (4.1, 74), "ofa_s7edge_88": (6.4, 219), "ofa_s7edge_58": (4.6, 145),
    "ofa_s7edge_41": (4.7, 96), "ofa_s7edge_29": (3.8, 66), "ofa_note8_65": (5.3, 220),
    "ofa_note8_49": (6.0, 164), "ofa_note8_31": (4.6, 101), "ofa_note8_22": (4.3, 67),
    "ofa_note10_22": (5.9, 237), "ofa_note10_16": (4.9, 163), "ofa_note10_11": (4.3, 110),
    "ofa_note10_08": (3.8, 79), "ofa_pixel1_58": (5.8, 230), "ofa_pixel1_40": (6.0, 162),
    "ofa_pixel1_28": (5.2, 109), "ofa_pixel1_20": (4.3, 77), "ofa_pixel2_62": (5.8, 208),
    "ofa_pixel2_50": (4.7, 166), "ofa_pixel2_35": (5.1, 113), "ofa_pixel2_25": (4.1, 79),
}  # fmt: skip


def small() -> AnySpace:
    return make_space("ofa", make_space("ofa").small)


def uniform(resolution: int, depth: int, kernel: int, expansion: int) -> str:
    """The text of one depth, kernel and expansion everywhere."""
    found = [f"resolution={resolution}"]
    for i in range(1, 6):
        found.append(f"{i}.depth={depth}")
        for j in range(1, depth + 1):
            found += [f"{i}.{j}.kernel={kernel}", f"{i}.{j}.expansion={expansion}"]
    return ";".join(found)


def test_the_size() -> None:
    space = make_space("ofa")
    assert len(space.config.resolutions) == 25
    assert space.size == 25 * (9**2 + 9**3 + 9**4) ** 5 == 543_966_387_314_312_146_275


@pytest.mark.parametrize(
    ("text", "width", "parameters", "macs"),
    [
        (uniform(224, 4, 7, 6), 1.0, 7_664_760, 566_170_656),
        (uniform(224, 2, 3, 3), 1.0, 3_410_792, 121_278_672),
        (uniform(128, 2, 3, 3), 1.0, 3_410_792, 41_476_224),
        (uniform(224, 4, 7, 6), 1.2, 10_701_632, 843_101_040),
    ],
)
def test_counts(text: str, width: float, parameters: int, macs: int) -> None:
    space = make_space("ofa", {"width": width})
    network = space.build(space.parse(text))
    assert (network.parameters, network.macs) == (parameters, macs)


def test_published_networks() -> None:
    """The README's 79 M of ofa_note10_08 are not those of its configuration, which has 76."""
    space = make_space("ofa")
    assert set(space.published) == {*README, "ofa_max", "ofa_min"}
    assert space.published["ofa_max"] == uniform(224, 4, 7, 6)
    assert space.published["ofa_min"] == uniform(224, 2, 3, 3)
    for name, (parameters, macs) in README.items():
        network = space.build(space.parse(name))
        assert round(network.parameters / 1e6, 1) == parameters, name
        assert abs(network.macs / 1e6 - macs) < 1 or name == "ofa_note10_08", name
        assert str(space.parse(name)) == space.published[name]


def test_activations_and_excitation_are_those_of_the_stages() -> None:
    space = make_space("ofa")
    network = space.build(space.parse(uniform(128, 2, 3, 3)))
    kinds = [la.op.kind for la in network.layers if isinstance(la.op, Activation)]
    # The stem and the fixed block; a block with squeeze-and-excite has a ReLU and a gate more.
    excited = ["relu", "hsigmoid"]
    expected = ["hswish", "relu", *["relu"] * 4, *["relu", "relu", *excited] * 2]
    expected += [*["hswish"] * 4, *["hswish", "hswish", *excited] * 4, "hswish", "hswish"]
    assert kinds == expected


def test_all_but_the_first_blocks_of_stages_have_a_residual() -> None:
    space = make_space("ofa")
    network = space.build(space.parse(uniform(128, 4, 3, 3)))
    sums = [la for la in network.layers if la.op == Elementwise("add")]
    assert len(sums) == 1 + 5 * 3  # the fixed block has one as well


def test_a_network_has_the_size_of_its_resolution() -> None:
    space = make_space("ofa", {"batch": 2})
    network = space.build(space.parse(uniform(132, 2, 3, 3)))
    assert network.input_shape == (2, 3, 132, 132)


def test_its_supernet_runs_and_computes_what_is_derived() -> None:
    space = small()
    torch.manual_seed(0)
    net = Supernet(space.supernet(search=False), space.forest, mix_all).eval()
    x = torch.randn(2, 3, 16, 16)
    for i in range(3):
        a = space.sample(0, i)
        module = inherited(net, space, a)
        size = module.network.input_shape[2:]
        image = x if size == (16, 16) else nn.functional.interpolate(
            x, size=size, mode="bilinear", antialias=True
        )  # fmt: skip
        with torch.no_grad():
            found = net(x, torch.from_numpy(space.columns.weights([a.code])[0]))
            torch.testing.assert_close(found, module(image), rtol=1e-5, atol=1e-6)
        assert found.std() > 0


def test_the_drawing_leaves_out_what_is_beyond_a_depth() -> None:
    (graph,) = make_space("ofa").parse("ofa_pixel1_20").drawing()
    names = [step.name for step in graph.steps]  # type: ignore[union-attr]
    assert names == ["input", *(f"{i}.{j}" for i in range(1, 6) for j in (1, 2)), "output"]
    assert [(step.channels, step.size) for step in graph.steps[-2:]] == [(160, 5), (1000, 1)]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"resolutions": (160, 128)}, r"resolutions must be in rising order, .*got \(160 128\)"),
        ({"depths": (2, 2)}, "depths must be in rising order, each once"),
        ({"kernels": (3, 4)}, "kernels must be odd, .* got 4"),
        ({"expansions": (0, 3)}, "expansions must be 1 to"),
    ],
)
def test_bad_settings(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        make_space("ofa", settings)
