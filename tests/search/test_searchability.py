"""What is asked of a space, a method and their settings before a search."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from own_spaces import Odd, conv, small_blocks

from latbench.errors import UsageError
from latbench.search.config import SearchConfig
from latbench.search.methods.sampled_operations import Gdas
from latbench.search.searchability import check_searchable, proxy
from latbench.spaces import darts, make_space, nasbench201
from latbench.spaces.space_config import SpaceConfig
from latbench.spaces.variables import One, Some


@pytest.mark.parametrize("cells", [1, 2])
def test_a_supernet_needs_a_cell_of_either_kind(cells: int) -> None:
    """Those of NAS-Bench-201 stand in each of three stages, whose reductions are no cells."""
    check_searchable(nasbench201(), SearchConfig(cells=cells))
    with pytest.raises(UsageError, match=rf"must be 3 or more .*, got {cells}: .* no normal cell"):
        check_searchable(darts(), SearchConfig(cells=cells))
    check_searchable(darts(), SearchConfig(cells=3))


def test_the_method_comes_with_its_settings() -> None:
    config = SearchConfig(method="gdas(temperature=3)")
    assert check_searchable(darts(), config) == Gdas(temperature=3.0)


def test_what_does_not_fit_is_one_sentence() -> None:
    layers = make_space("isolated_layers")
    for method in ("darts", "single-path"):
        with pytest.raises(UsageError, match="'isolated_layers': single layers have no supe"):
            check_searchable(layers, SearchConfig(method=method))
    with pytest.raises(UsageError, match=r"'pc-darts' cannot search the space 'nasbench201': it"):
        check_searchable(nasbench201(), SearchConfig(method="pc-darts"))
    coarse = SearchConfig(method="darts-2nd", precision="bfloat16")
    with pytest.raises(UsageError, match=r"'darts-2nd' takes differences .* got 'bfloat16'"):
        check_searchable(darts(), coarse)
    with pytest.raises(UsageError, match=r"unknown method 'enas'; expected one of darts, .*Class"):
        check_searchable(darts(), SearchConfig(method="enas"))


def test_parameters_that_rest_cannot_keep_a_target() -> None:
    with pytest.raises(
        UsageError, match=r"needs an alpha_learning_rate above 0, got the target 0\.5"
    ):
        check_searchable(darts(), SearchConfig(alpha_learning_rate=0.0, target=0.5))
    check_searchable(
        darts(), SearchConfig(method="single-path", alpha_learning_rate=0.0, target=0.5)
    )


@pytest.mark.parametrize("method", ["darts", "darts-2nd"])
def test_a_resolution_is_not_mixed(method: str) -> None:
    with pytest.raises(UsageError, match=f"'{method}' cannot search the space 'blocks': it mixes"):
        check_searchable(small_blocks(), SearchConfig(method=method))
    check_searchable(small_blocks(), SearchConfig(method="gdas"))
    check_searchable(small_blocks(resolutions=(24,)), SearchConfig(method=method))


class Many(Odd):
    """A space of more sets than a search lists."""

    def __init__(self, config: SpaceConfig | None = None, members: int = 18) -> None:
        names = tuple(f"m{i}" for i in range(members))
        super().__init__(
            [Some("in", names, 1, members // 2)],
            lambda b: b.total(list(b.some("in", {m: conv(4, b, b.input) for m in names}).values())),
        )
        self.config = config or SpaceConfig()


@pytest.mark.parametrize("method", ["darts", "gdas", "single-path"])
def test_more_sets_than_can_be_listed_are_refused_before_a_search(method: str) -> None:
    with pytest.raises(UsageError, match="'in' can take 155,381 sets of its members"):
        check_searchable(Many(), SearchConfig(method=method))


@dataclass(frozen=True)
class OtherConfig(SpaceConfig):
    """Settings that are called as those of a search, and are none of its sizes."""

    channels: tuple[int, ...] = (4, 8)
    cells: str = "large"


class OtherSettings(Odd):
    """A space whose widths are its setting."""

    def __init__(self, config: OtherConfig | None = None) -> None:
        made = config or OtherConfig()
        width = One("w", tuple(map(str, made.channels)), kind="width")
        super().__init__([width], lambda b: conv(b.number("w"), b, b.input))
        self.config = made


def test_only_whole_numbers_are_sizes_of_a_search() -> None:
    found = proxy(OtherSettings(OtherConfig(batch=8)), SearchConfig(channels=16, cells=8))
    assert found.config == OtherConfig(batch=1)
