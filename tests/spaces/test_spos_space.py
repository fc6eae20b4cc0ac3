from __future__ import annotations

import pytest

from latbench.errors import UsageError
from latbench.networks.ops import BatchNorm
from latbench.networks.supernet_ops import Mixed
from latbench.spaces import make_space
from latbench.spaces.chains.spos_space import CHOICES, SposConfig, SposSpace

SPACE = SposSpace()


def test_its_size() -> None:
    assert SPACE.size == 4**20


# Counted apart from latbench, without a bias in the last layer; megvii-model/SinglePathOneShot says
# "3.5M" and "323M" of the first one.
@pytest.mark.parametrize(
    ("name", "parameters", "macs"),
    [
        ("spos", 3_558_464, 322_918_720),
        ("spos_k3", 3_154_880, 295_842_496),
        ("spos_k5", 3_211_968, 313_654_976),
        ("spos_k7", 3_297_600, 340_373_696),
        ("spos_xception", 3_870_816, 358_825_920),
    ],
)
def test_published_counts(name: str, parameters: int, macs: int) -> None:
    architecture = SPACE.parse(name)
    network = SPACE.build(architecture)
    assert (network.parameters, network.macs) == (parameters, macs)
    assert network.output_shape == (1, 1000)
    assert str(architecture) == SPACE.published[name]


def test_the_released_network_is_the_one_that_the_repository_lists() -> None:
    chosen = SPACE.parse("spos").values().values()
    numbers = [CHOICES.index(str(choice)) for choice in chosen]
    assert numbers == [2, 1, 0, 1, 2, 0, 2, 0, 2, 0, 2, 3, 0, 0, 0, 0, 3, 2, 3, 3]


def test_the_search_network_has_no_scale_and_shift() -> None:
    space = make_space("spos", SposSpace.small)
    for search in (True, False):
        norms = []
        for layer in space.supernet(search).layers:
            inner = layer.op.alternatives if isinstance(layer.op, Mixed) else ()
            found = [layer, *(one for network in inner for one in network.layers)]
            norms += [one.op for one in found if isinstance(one.op, BatchNorm)]
        assert len(norms) > 60
        assert all(norm.affine is not search for norm in norms)


@pytest.mark.parametrize("width", [0.139, 0.14, 0.3, 0.77, 1.1, 1.5, 2.05, 16.0])
def test_all_widths_are_even(width: float) -> None:
    space = SposSpace(SposConfig(width=width, blocks=(1, 1, 1, 1), resolution=32))
    for layer in space.build(space.reference()).layers[1:-3]:
        assert layer.shape[1] % 2 == 0 or layer.shape[1] == 3


def test_the_drawing_shows_branches_and_sizes() -> None:
    (graph,) = SPACE.drawing(SPACE.parse("spos"))
    assert len(graph.steps) == 22
    step = graph.steps[9]
    assert (step.name, step.operation, step.channels, step.size) == ("3.1", "k7", 320, 14)


def test_wrong_settings_are_refused() -> None:
    with pytest.raises(UsageError, match="blocks must have one number for each of the 4 stages"):
        SposConfig(blocks=(4, 4, 8))
    with pytest.raises(UsageError, match=r"stages 8, 8, 16, .* use a width of 0.14 or more"):
        SposConfig(width=0.1)
    with pytest.raises(UsageError, match="width must be above 0"):
        SposConfig(width=-1.0)
