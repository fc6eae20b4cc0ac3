from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from interrupted import straight_and_resumed
from torch import Generator

from latbench.errors import UsageError
from latbench.search import SearchConfig, search
from latbench.search.baselines.one_shot import one_shot_score
from latbench.search.images.images import ImageData
from latbench.search.searchability import check_searchable
from latbench.search.second_order import Ahead
from latbench.search.supernets.dropblock import (
    DropBlock,
    held_blocks,
    no_dropblock,
    set_dropblock,
)
from latbench.search.training import path_training
from latbench.spaces import darts, make_space, nasbench201

SPACE = nasbench201(channels=4, cells=1, resolution=8, in_channels=1)
CONFIG = SearchConfig(epochs=3, batch=16, channels=4, cells=1, alpha_learning_rate=0.1)


def dropping(rate: float, size: int) -> DropBlock:
    made = DropBlock()
    set_dropblock(made, rate, size, Generator().manual_seed(0))
    return made


@given(
    st.integers(1, 12), st.integers(1, 12), st.integers(1, 9), st.floats(0.05, 0.6),
    st.integers(0, 99),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_whole_blocks_are_left_out_and_the_rest_scaled(
    height: int, width: int, size: int, rate: float, seed: int
) -> None:
    made = dropping(rate, size)
    made.stream = Generator().manual_seed(seed)
    y = made(torch.ones(6, 3, height, width))
    assert torch.equal(y, y[:, :1].expand_as(y))  # one mask for all channels
    kept = (y[:, 0] > 0).float()
    if kept.any():
        torch.testing.assert_close(y[:, 0], kept * (kept.numel() / kept.sum()))
    down, across = min(size, height), min(size, width)
    for mask in kept:  # what is dropped is covered by whole blocks inside the map
        gone, covered = mask == 0, torch.zeros(height, width, dtype=torch.bool)
        for i in range(height - down + 1):
            for j in range(width - across + 1):
                block = (slice(i, i + down), slice(j, j + across))
                if gone[block].all():
                    covered[block] = True
        assert torch.equal(covered, gone)


def test_about_the_rate_is_left_out() -> None:
    y = dropping(0.2, 3)(torch.ones(2000, 1, 16, 16))
    assert 0.15 < float((y == 0).float().mean()) < 0.2  # blocks overlap
    y = dropping(0.2, 1)(torch.ones(2000, 1, 16, 16))
    assert abs(float((y == 0).float().mean()) - 0.2) < 0.005
    y = dropping(0.2, 99)(torch.ones(4000, 1, 4, 4))  # clipped: a whole map, or none of it
    assert abs(float((y == 0).float().mean()) - 0.2) < 0.03


def test_it_changes_nothing_where_it_is_off() -> None:
    x = torch.randn(2, 3, 4, 4)
    made = DropBlock()
    assert made(x) is x
    made = dropping(0.5, 2)
    with no_dropblock(made):
        assert made(x) is x
    assert made.rate == 0.5


def test_the_rate_falls_to_nothing_and_what_is_measured_is_without_it(
    digits: ImageData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rates: list[tuple[bool, float]] = []
    run = path_training.task_loss

    def spied(parts: Any, *arguments: Any, **named: Any) -> Any:
        blocks = [m for m in parts.supernet.modules() if isinstance(m, DropBlock)]
        assert len(blocks) == 6 * 3  # an edge each, of a cell in each of three stages
        assert len({one.rate for one in blocks}) == 1
        rates.append((torch.is_grad_enabled(), blocks[0].rate))
        return run(parts, *arguments, **named)

    monkeypatch.setattr(path_training, "task_loss", spied)
    config = replace(CONFIG, dropblock=0.4, alpha_learning_rate=0.0)
    search(SPACE, digits, config, directory=tmp_path)
    assert [r for learns, r in rates if learns] == pytest.approx([0.4, 0.4, 0.2, 0.2, 0, 0])
    assert {r for learns, r in rates if not learns} == {0.0}


def test_a_search_with_it_goes_on_bit_for_bit(digits: ImageData, tmp_path: Path) -> None:
    config = replace(CONFIG, method="msg-das", dropblock=0.3, dropblock_size=3)
    straight, resumed = straight_and_resumed(SPACE, digits, config, tmp_path)
    assert np.array_equal(straight.course["alpha"], resumed.course["alpha"])
    assert straight.history == resumed.history
    plain = search(SPACE, digits, replace(CONFIG, method="msg-das"), directory=tmp_path / "c")
    assert not np.array_equal(straight.course["alpha"], plain.course["alpha"])


@pytest.mark.parametrize(
    ("space", "given", "says"),
    [
        (SPACE, {"dropblock": 0.3, "dropblock_size": 3, "dropblock_clip": False},
         "dropblock_size = 3 is larger than the smallest map .* of 2 pixels a side"),
        (make_space("nats-size"), {"dropblock": 0.3}, "no variable of this space has an option"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(space: Any, given: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says) as error:
        check_searchable(space, replace(CONFIG, **given))
    assert "\n" not in str(error.value)


def test_blocks_that_fit_need_no_clipping() -> None:
    config = replace(CONFIG, dropblock=0.3, dropblock_size=2, dropblock_clip=False)
    check_searchable(SPACE, config)
    config = replace(config, dropblock_size=4, cells=3)
    check_searchable(darts(channels=4, cells=3, resolution=16), config)  # maps of 4 pixels a side


def test_scores_after_one_epoch_are_without_it(digits: ImageData, tmp_path: Path) -> None:
    """An interrupted choice goes on with a fresh supernet, which drops nothing."""
    config = replace(
        CONFIG, method="single-path(budget=4, population=2, images=16)", epochs=1, dropblock=0.5
    )
    seen = list[float]()

    def spied(supernet: Any, *arguments: Any, **more: Any) -> Any:
        seen.extend(m.rate for m in supernet.modules() if isinstance(m, DropBlock))
        return one_shot_score(supernet, *arguments, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("latbench.search.one_shot_choice.one_shot_score", spied)
        search(SPACE, digits, config, directory=tmp_path)
    assert set(seen) == {0.0}


def test_the_second_order_drops_the_same_blocks_in_its_differences(
    digits: ImageData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The three passes of a training batch: the step ahead, and both differences."""
    masks, dropped = list[bytes](), DropBlock.forward

    def forward(self: DropBlock, x: torch.Tensor) -> torch.Tensor:
        y = dropped(self, x)
        if self.rate and torch.is_grad_enabled():
            masks.append((y == 0).numpy().tobytes()[:64])
        return y

    states = list[bytes]()
    gradients, held = Ahead.gradients, held_blocks

    def watched(self: Any, *arguments: Any) -> Any:
        states.append(b"validation")
        return gradients(self, *arguments)

    def holding(module: Any) -> Any:
        again = held(module)

        def tell() -> None:
            again()
            stream = next(m.stream for m in module.modules() if isinstance(m, DropBlock))
            assert stream is not None
            states.append(stream.get_state().numpy().tobytes())

        return tell

    monkeypatch.setattr(Ahead, "gradients", watched)
    monkeypatch.setattr("latbench.search.bilevel.held_blocks", holding)
    monkeypatch.setattr(DropBlock, "forward", forward)
    config = replace(CONFIG, method="darts-2nd", epochs=1, dropblock=0.4)
    few = replace(digits, train_images=torch.as_tensor(digits.train_images)[:32],
                  train_labels=digits.train_labels[:32])  # fmt: skip
    search(SPACE, few, config, directory=tmp_path)
    ahead, validation, plus, minus = states
    assert validation == b"validation"
    assert ahead == plus == minus
    assert masks
