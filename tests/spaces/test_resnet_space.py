from __future__ import annotations

from typing import Any

import pytest

from latbench.errors import ParseError, UsageError
from latbench.spaces import known_name, make_space
from latbench.spaces.chains.resnet_space import ResNetConfig, ResNetSpace
from latbench.testing import check_space

CIFAR: dict[str, Any] = {
    "stem": "cifar", "widths": (32, 64, 128), "classes": 10, "resolution": 32,
}  # fmt: skip


@pytest.mark.parametrize("block", ["basic", "bottleneck"])
@pytest.mark.parametrize("stem", ["imagenet", "cifar"])
def test_small_ones_keep_what_spaces_promise(block: str, stem: str) -> None:
    settings = {"block": block, "stem": stem}
    check_space(make_space("resnet", {**ResNetSpace.small, **settings}), samples=8)


def test_its_size() -> None:
    assert ResNetSpace().size == (4 * 5) ** 4
    assert make_space("resnet", CIFAR).size == (4 * 5) ** 3


# torchvision's own parameters (num_params in torchvision/models/resnet.py), and its giga-operations
# to three digits (_ops there): 1.814, 3.664 and 4.089. The last one is ours.
@pytest.mark.parametrize(
    ("name", "settings", "parameters", "macs"),
    [
        ("resnet18", {}, 11_689_512, 1_814_073_344),
        ("resnet34", {}, 21_797_672, 3_663_761_408),
        ("resnet50", {"block": "bottleneck"}, 25_557_032, 4_089_184_256),
        ("resnet20_cifar", CIFAR, 1_084_586, 162_366_720),
    ],
)
def test_published_counts(name: str, settings: dict[str, Any], parameters: int, macs: int) -> None:
    space = make_space("resnet", settings)
    architecture = space.parse(name)
    network = space.build(architecture)
    assert (network.parameters, network.macs) == (parameters, macs)
    assert known_name(str(architecture)) == name


@pytest.mark.parametrize(
    ("name", "settings", "wrong"),
    [
        ("resnet50", {}, "block='bottleneck', and this one has block=basic"),
        ("resnet34", {"block": "bottleneck"}, "block='basic', and this one has block=bottleneck"),
        ("resnet20_cifar", {}, "stem='cifar', and this one has stem=imagenet"),
        ("resnet18", {"width": 0.5}, "1.width is '64'; expected one of 8, 16, 24, 32$"),
        ("resnet18", {"depths": (3, 4, 6)}, "1.depth is '2'; expected one of 3, 4, 6$"),
        ("resnet18", {"widths": (64, 128)}, "'resnet' has no variable '3.width'"),
    ],
)
def test_a_published_network_of_other_settings_is_refused(
    name: str, settings: dict[str, Any], wrong: str
) -> None:
    with pytest.raises(ParseError, match=wrong):
        make_space("resnet", settings).parse(name)


def test_a_text_names_block_and_stem_once() -> None:
    space = make_space("resnet", ResNetSpace.small)
    text = str(space.reference())
    assert text == "block=basic;stem=imagenet;1.width=8;1.depth=1;2.width=16;2.depth=1"
    turned = " ; ".join(reversed(text.split(";")))
    assert space.parse(turned) == space.reference()
    for wrong, said in (
        (text.removeprefix("block=basic;"), "gives no 'block'; expected block=basic"),
        (text + ";stem=imagenet", "gives 'stem' twice"),
        (text.replace("basic", "tall"), "with block='tall'"),
        ("resnet19", "has no published network 'resnet19'; did you mean 'resnet18'"),
        ("", "'' is no value of an architecture"),
    ):
        with pytest.raises(ParseError, match=said):
            space.parse(wrong)


def test_widths_are_multiples_of_8_each_once() -> None:
    config = ResNetConfig()
    assert config.options(1) == ("16", "32", "48", "64")
    assert config.options(4) == ("128", "256", "384", "512")
    assert ResNetConfig(width=0.25).options(1) == ("8", "16")
    assert ResNetConfig(widths=(10,), shares=(100,)).options(1) == ("10",)


def test_the_drawing_shows_widths_and_depths() -> None:
    space = ResNetSpace(ResNetConfig(block="bottleneck"))
    (graph,) = space.drawing(space.parse("resnet50"))
    found = [(step.name, step.channels, step.size) for step in graph.steps[1:-1]]
    assert len(found) == 16
    assert found[3:5] == [("2.1", 512, 28), ("2.2", 512, 28)]
    assert found[-1] == ("4.3", 2048, 7)


def test_wrong_settings_are_refused() -> None:
    for settings, said in (
        ({"block": "tall"}, "block must be 'basic' or 'bottleneck'"),
        ({"stem": "vgg"}, "stem must be 'imagenet' or 'cifar'"),
        ({"shares": (0,)}, "shares must be 1 to"),
        ({"widths": ()}, "widths must have one value or more"),
    ):
        with pytest.raises(UsageError, match=said):
            make_space("resnet", settings)
    with pytest.raises(UsageError, match=r"depths must be in rising order, each once, got .2 2."):
        _ = make_space("resnet", {"depths": (2, 2)}).size
