"""What is asked of a space, a method and their settings before a search."""

from __future__ import annotations

import pytest

from latbench.errors import UsageError
from latbench.search.config import SearchConfig
from latbench.search.methods.sampled_operations import Gdas
from latbench.search.searchability import check_searchable
from latbench.spaces import darts, make_space, nasbench201


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
