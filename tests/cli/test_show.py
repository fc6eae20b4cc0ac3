"""``latbench show``: what is counted of networks without measuring."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from latbench.models import Model, save_model
from latbench.networks.network import NetworkBuilder
from latbench.networks.ops import Activation, Linear
from latbench.networks.weights import make_weights

Cli = Callable[..., tuple[int, str, str]]


def shown(cli: Cli, *arguments: str) -> dict[str, Any]:
    code, out, err = cli("show", *arguments, "--json")
    assert code == 0, err
    (found,) = json.loads(out)
    assert isinstance(found, dict)
    return found


def features() -> Model:
    b = NetworkBuilder((2, 32))
    network = b.build(b.add(Linear(4), b.add(Activation("relu"), b.add(Linear(16), b.input))))
    return Model("rows", network, make_weights(network))


def test_a_published_network_is_counted_layer_by_layer(cli: Cli) -> None:
    found = shown(cli, "mobilenet_v2@224x160")
    assert found["model"] == "mobilenet_v2@224x160"
    assert found["input_shape"] == [1, 3, 224, 160]
    assert found["parameters"] == 3_504_872 == sum(x["parameters"] for x in found["layers"])
    assert found["macs"] == sum(x["macs"] for x in found["layers"])
    last = found["layers"][-1]
    assert (last["kind"], last["settings"]) == ("Linear", "out_features=1000")
    assert last["inputs"] == [len(found["layers"]) - 2]
    assert last["output_shape"] == found["output_shape"] == [1, 1000]
    assert found["weights"] == "invented"


def test_a_saved_model_of_rows_is_shown_as_a_table(cli: Cli, tmp_path: Path) -> None:
    save_model(features(), tmp_path / "net")
    assert shown(cli, "net") | {"layers": []} == {
        "model": "rows", "weights": "given", "batch": 2, "input_shape": [2, 32],
        "output_shape": [2, 4], "parameters": 32 * 16 + 16 + 16 * 4 + 4,
        "macs": 2 * (32 * 16 + 16 * 4), "bytes_moved": features().network.bytes_moved,
        "layers": [],
    }  # fmt: skip
    code, out, _ = cli("show", "net", "resnet18")
    assert code == 0
    assert "rows: 3 layers, input 2 x 32, output 2 x 4, 596 parameters, 1,152 multiply-adds a run "\
        "of 2" in out  # fmt: skip
    assert "resnet18: " in out
    assert "11,689,512 parameters" in out


# Cases 1 to 4, 6 and 7 of what people ask for: the figures of a named architecture.
@pytest.mark.parametrize(
    ("space", "text", "parameters", "macs"),
    [
        (
            "nasbench201",
            "|skip_connect~0|+|none~0|nor_conv_3x3~1|+|avg_pool_3x3~0|nor_conv_3x3~1|nor_conv_3x3~2|",
            802_426, 113_951_360,
        ),
        (
            "nasbench201",  # a dead branch is not in the network
            "|nor_conv_1x1~0|+|nor_conv_3x3~0|skip_connect~1|+|none~0|skip_connect~1|none~2|",
            101_306, None,
        ),
        (
            "nasbench201(resolution=16, classes=120)",
            "|nor_conv_3x3~0|+|nor_conv_3x3~0|avg_pool_3x3~1|+|skip_connect~0|nor_conv_3x3~1|skip_connect~2|",
            809_576, 28_495_360,
        ),
        ("darts(channels=36, cells=14, classes=1000, resolution=224)", "PC_DARTS_CIFAR",
         3_152_548, 19_482_812_928),
    ],
)  # fmt: skip
def test_architectures_have_the_counts_that_people_look_for(
    cli: Cli, space: str, text: str, parameters: int, macs: int | None
) -> None:
    found = shown(cli, text, "--space", space)
    assert found["parameters"] == parameters
    assert macs in (None, found["macs"])
    assert found["model"] == text


def test_large_images_with_cifars_stem_are_doubted(cli: Cli) -> None:
    for settings, doubted in (
        ("resolution=128", True), ("resolution=128, stem=imagenet", False), ("resolution=64", False)
    ):  # fmt: skip
        for command in (("show", "DARTS_V2", "--space"), ("space",)):
            _, _, err = cli(*command, f"darts(channels=4, cells=3, {settings})")
            assert ("did you mean stem=imagenet" in err) == doubted


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("mobilnet_v2",), "did you mean 'mobilenet_v2'?"),
        (("nothing-like-it",), "no architecture of the space darts; --space names another space"),
        (("mobilenet_v2@9",), "at least 17 pixels, got 9"),
        (("mobilenet_v2@224x",), "such as 'mobilenet_v2@128' or 'mobilenet_v2@224x160'"),
        (("empty",), "there is no saved model at empty"),
        (("|none~0|", "--space", "nasbench201"), "|none~0|"),
        (("x" * 5000,), "is no published network"),
    ],
)
def test_what_is_no_network_is_one_sentence(
    cli: Cli, tmp_path: Path, arguments: tuple[str, ...], sentence: str
) -> None:
    (tmp_path / "empty").mkdir()
    code, out, err = cli("show", *arguments)
    assert (code, out) == (2, "")
    assert sentence in err
    assert len(err.strip().splitlines()) == 1
