from __future__ import annotations

from functools import cache

import pytest

from latbench.errors import ParseError, UsageError
from latbench.networks.network import Network
from latbench.networks.ops import Activation, Conv, Elementwise
from latbench.spaces import make_space
from latbench.spaces.chains.fbnetv2_space import FBNetV2Config, FBNetV2Space

SPACE = FBNetV2Space()


def test_it_has_as_many_networks_as_the_paper_says() -> None:
    first = 3 * 2 * 2**3  # the stem's widths, and the block that does not expand
    of_depth = {n: sum(48**depth for depth in range(1, n + 1)) for n in (3, 4)}
    widths = 4 * 4 * 7 * 8 * 14
    assert SPACE.size == 6 * first * widths * of_depth[3] ** 3 * of_depth[4] ** 2
    assert SPACE.size == 152_979_952_244_730_477_011_141_468_671_180_800
    assert SPACE.size >= 10**35


def test_it_has_every_kind_of_variable() -> None:
    kinds = {"resolution", "width", "depth", "kernel", "expansion", "se", "activation"}
    for space in (SPACE, make_space("fbnetv2", FBNetV2Space.small)):
        assert {v.kind for v in space.forest.variables} == kinds


@cache
def network(**other: str) -> Network:
    """The reference network with other choices, ``_`` for the point in their names."""
    changed = {name.replace("_", "."): value for name, value in other.items()}
    text = ";".join(f"{k}={changed.get(k, v)}" for k, v in SPACE.reference().values().items())
    return SPACE.build(SPACE.parse(text))


def convolutions(built: Network) -> list[Conv]:
    return [layer.op for layer in built.layers if isinstance(layer.op, Conv)]


def test_the_reference_network() -> None:
    built = network()
    assert (built.parameters, built.macs) == (2_601_128, 58_625_536)
    assert built.input_shape == (1, 3, 192, 192)
    # 1 + 5 * 2 blocks, of which the second of each stage adds what it reads
    assert sum(layer.op == Elementwise("add") for layer in built.layers) == 5


def test_widths_are_rounded_as_published() -> None:
    # 0.75 * 20 = 15 is 16; 1.5 * 12 = 18 would be 16, which is below 0.95 * 18, so it is 24.
    ops = convolutions(network(**{"2_1_expansion": "150", "2_2_expansion": "75"}))
    stem_and_first = 3
    first, second = ops[stem_and_first], ops[stem_and_first + 3]
    assert (first.out_channels, second.out_channels) == (24, 16)
    wide = convolutions(network(**{"2_1_expansion": "450", "2_1_se": "on"}))
    squeeze = wide[stem_and_first + 2]
    assert (squeeze.out_channels, squeeze.bias) == (16, True)  # 4.5 * 12 = 54, 56, a quarter is 14


def test_each_choice_does_what_it_says() -> None:
    def kinds(built: Network) -> list[str]:
        return [la.op.kind for la in built.layers if isinstance(la.op, Activation)]

    plain = kinds(network())
    assert (plain.count("relu"), plain.count("hswish")) == (21, 2)
    other = kinds(network(**{"3_1_activation": "hswish", "3_1_se": "on"}))
    assert (other.count("relu"), other.count("hswish"), other.count("hsigmoid")) == (19, 5, 1)
    # The stem's convolution, two of the first block, three of each block before it, and one.
    kernels = [op.kernel for op in convolutions(network(**{"3_1_kernel": "5"}))]
    assert [i for i, kernel in enumerate(kernels) if kernel == 5] == [3 + 6 + 1]
    assert network(resolution="288").layers[-4].shape[2:] == (9, 9)


def test_all_options_are_kept_apart_in_a_supernet() -> None:
    """Without a limit of the combinations that a number may depend on."""
    space = make_space("fbnetv2", {"most_blocks": 2, "resolutions": (128, 288)})
    kinds = set(space.layer_kinds())
    for i in range(3):
        built = space.build(space.sample(0, i))
        assert {built.kind(layer) for layer in built.layers if layer.inputs} <= kinds


def test_samples_have_all_depths() -> None:
    depths = [SPACE.sample(0, i)["5.depth"] for i in range(200)]
    assert all(30 <= depths.count(d) <= 70 for d in "1234")


def test_widths_that_a_multiplier_makes_equal_are_one() -> None:
    space = FBNetV2Space(FBNetV2Config(width=0.5))
    assert space.forest["2.width"].options == ("8", "16")
    assert space.forest["1.width"].options == ("8",)


def test_what_is_not_of_the_space_is_refused() -> None:
    text = str(SPACE.reference())
    with pytest.raises(ParseError, match="448"):
        SPACE.parse(text.replace("resolution=192", "resolution=448"))
    with pytest.raises(ParseError, match="13"):
        SPACE.parse(text.replace("1.width=12", "1.width=13"))
    with pytest.raises(UsageError, match=r"^resolutions must be 1 to"):
        FBNetV2Config(resolutions=(0, 128))
    with pytest.raises(UsageError, match="resolutions must be in rising order, each once"):
        FBNetV2Config(resolutions=(128, 128))
