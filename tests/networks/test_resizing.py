"""Networks at another batch and another size of images."""

from __future__ import annotations

import pytest

from latbench.errors import UsageError
from latbench.networks.network import Network, NetworkBuilder
from latbench.networks.ops import Activation, Conv, Flatten, Linear
from latbench.networks.resizing import parse_pixels, pixels_text, resized
from latbench.spaces import make_space
from latbench.zoo.published_networks import published_entry, published_network


def flattened() -> Network:
    """A network with weights for its pixels."""
    b = NetworkBuilder((1, 3, 8, 8))
    x = b.add(Flatten(), b.add(Conv(4, 3, padding=1), b.input))
    return b.build(b.add(Linear(10), x))


def features() -> Network:
    """A network on rows of numbers."""
    b = NetworkBuilder((1, 32))
    return b.build(b.add(Linear(4), b.add(Activation("relu"), b.add(Linear(16), b.input))))


@pytest.mark.parametrize("name", ["mobilenet_v2", "efficientnet_b0", "resnet18", "spos", "ofa_min"])
def test_a_resized_network_is_what_would_be_built(name: str) -> None:
    network = published_entry(name).network()
    assert resized(network, name, 4, (160, 160)) == published_network(name, 160, batch=4)
    assert resized(network, name, 1, network.input_shape[2:]) is network  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["darts(channels=4, cells=3)", "nasbench201(channels=4, cells=1)"])
def test_cells_are_resized_as_their_space_builds_them(text: str) -> None:
    from latbench.spaces import parse_space

    small = parse_space(text)
    large = make_space(small.name, {**small.config.settings(), "resolution": 48, "batch": 2})
    for i in range(3):
        architecture = small.sample(0, i)
        wanted = large.build(large.parse(str(architecture)))
        assert resized(small.build(architecture), "it", 2, (48, 48)) == wanted


def test_images_need_not_be_square() -> None:
    found = published_network("mobilenet_v2", (224, 160))
    assert found.input_shape == (1, 3, 224, 160)
    assert found.output_shape == (1, 1000)
    whole, half = (published_network("mobilenet_v2", r).macs for r in (256, (256, 128)))
    assert whole / 2 == pytest.approx(half, rel=0.01)


def test_a_batch_multiplies_the_work_and_no_parameter() -> None:
    network = features()
    assert resized(network, "it", 8).input_shape == (8, 32)
    assert resized(network, "it", 8).macs == 8 * network.macs
    assert resized(network, "it", 8).parameters == network.parameters
    assert resized(flattened(), "it", 2).input_shape == (2, 3, 8, 8)


@pytest.mark.parametrize(
    ("network", "batch", "pixels", "sentence"),
    [
        (features(), None, (8, 8), "reads 1 x 32, which are no images"),
        (flattened(), None, (8, 9), "has weights for images of 1 x 3 x 8 x 8"),
        (published_network("mobilenet_v2"), None, (300, 16), "at least 17 pixels, got 16"),
        (published_network("mobilenet_v2"), 0, None, "of 1 to 1,000,000, got 0"),
        (published_network("mobilenet_v2"), None, (2_000_000, 8), "got 2,000,000"),
    ],
)
def test_what_no_network_can_take_is_refused(
    network: Network, batch: int | None, pixels: tuple[int, int] | None, sentence: str
) -> None:
    with pytest.raises(UsageError, match=sentence):
        resized(network, "it", batch, pixels)


def test_a_layer_that_does_not_fit_is_named() -> None:
    b = NetworkBuilder((1, 3, 12, 12))
    x = b.build(b.add(Conv(4, kernel=7), b.input))
    with pytest.raises(UsageError, match="it cannot take an input of 1 x 3 x 6 x 12: a 7-wide"):
        resized(x, "it", pixels=(6, 12))


def test_pixels_are_read_and_written() -> None:
    for text in ("224", "224x160", "1x1000"):
        pixels = parse_pixels(text)
        assert pixels is not None
        assert pixels_text(pixels) == text
    assert parse_pixels("8x8") == (8, 8)
    for text in ("", "x", "8x", "x8", "8x8x8", "-8", "8.5", "8X8", "1234567", "٣"):
        assert parse_pixels(text) is None
