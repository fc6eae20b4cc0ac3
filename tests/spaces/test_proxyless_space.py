"""The space of ProxylessNAS: its size, its published networks, and what stands for what."""

from __future__ import annotations

from typing import Any

import pytest

from latbench.errors import UsageError
from latbench.networks.network import Network
from latbench.networks.ops import Elementwise
from latbench.spaces import make_space
from latbench.spaces.chains.proxyless_space import WIDTHS


def published(name: str, blocks: str) -> Network:
    space = make_space("proxyless", {"widths": WIDTHS[name]})
    return space.build(space.parse(space.published[blocks]))


def test_the_size() -> None:
    assert make_space("proxyless").size == 6**6 * 7**15 == 221_502_229_807_900_608


@pytest.mark.parametrize(
    ("name", "blocks", "parameters", "macs"),
    [
        ("proxyless_cpu", "proxyless_cpu", 4_361_648, 439_243_864),
        ("proxyless_gpu", "proxyless_gpu", 7_119_848, 465_260_160),
        ("proxyless_mobile", "proxyless_mobile", 4_080_512, 320_427_584),
        # 581 M in an earlier README of the repository; these parameters in osmr/imgclsmob.
        ("proxyless_mobile_14", "proxyless_mobile", 6_857_568, 580_883_408),
    ],
)
def test_published_networks(name: str, blocks: str, parameters: int, macs: int) -> None:
    network = published(name, blocks)
    assert (network.parameters, network.macs) == (parameters, macs)


def test_the_residuals_are_those_of_the_published_network() -> None:
    """As many as blocks with a shortcut in han-cai/files' configuration."""
    sums = [la for la in published("proxyless_gpu", "proxyless_gpu").layers
            if la.op == Elementwise("add")]  # fmt: skip
    assert len(sums) == 7


def test_published_texts_are_canonical() -> None:
    space = make_space("proxyless")
    for text in space.published.values():
        architecture = space.parse(text)
        assert str(architecture) == text
        assert space.canonical(architecture) == architecture


def test_a_skipped_block_is_the_same_wherever_it_stands_in_its_stage() -> None:
    space = make_space("proxyless", {"blocks": (4, 1, 1, 1, 2, 1)})
    rest = "2.1=k3e3;3.1=k3e3;4.1=k3e3;5.1=k3e3;5.2=skip;6.1=k7e6"
    one = space.parse(f"1.1=k3e6;1.2=skip;1.3=k5e3;1.4=k3e3;{rest}")
    other = space.parse(f"1.1=k3e6;1.2=k5e3;1.3=k3e3;1.4=skip;{rest}")
    swapped = space.parse(f"1.1=k3e6;1.2=k3e3;1.3=k5e3;1.4=skip;{rest}")
    assert space.canonical(one) == space.canonical(other) == other
    assert space.build(one) == space.build(other)
    assert space.canonical(swapped) == swapped
    assert space.build(swapped) != space.build(one)


def test_a_multiplier_below_one_leaves_the_head() -> None:
    narrow, wide = (make_space("proxyless", {"width": w}).config for w in (0.5, 1.4))
    assert narrow.rounded_widths == [16, 8, 16, 24, 40, 48, 96, 160, 1280]
    assert wide.rounded_widths == [48, 24, 32, 56, 112, 136, 272, 448, 1792]


def test_the_drawing_names_blocks() -> None:
    space = make_space("proxyless", {"widths": WIDTHS["proxyless_mobile"]})
    (graph,) = space.parse("proxyless_mobile").drawing()
    steps = {step.name: (step.operation, step.channels, step.size) for step in graph.steps}  # type: ignore[union-attr]
    assert len(steps) == 23
    assert steps["1.2"] == ("k3e3", 32, 56)
    assert steps["1.4"] == ("skip", 32, 56)
    assert steps["6.1"] == ("k7e6", 320, 7)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"widths": (32, 16)}, r"widths must be 9 numbers .*, got 2: \(32 16\)"),
        ({"blocks": (4,) * 7}, "blocks must be 6 numbers .*, got 7"),
        ({"width": 0.0}, "width must be above 0"),
    ],
)
def test_bad_settings(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        make_space("proxyless", settings)
