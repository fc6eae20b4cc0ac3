"""Searches in stages: their groups, what rests meanwhile, and that one group is a single path."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from interrupted import straight_and_resumed

from latbench.errors import UsageError
from latbench.predictors.counted import counted_model
from latbench.results import SearchEpoch
from latbench.search import (
    LatencyPenalty,
    SearchConfig,
    SinglePath,
    loop,
    parse_method,
    read_supernet,
    search,
)
from latbench.search.config import CHECKPOINT
from latbench.search.images.images import ImageData
from latbench.search.methods.staged_paths import Hurricane
from latbench.search.relaxations.single_path import SinglePathRelaxation
from latbench.search.search_state import SearchState
from latbench.search.searchability import check_searchable
from latbench.spaces import make_space

SPACE = make_space(
    "operators",
    {"widths": (8, 16, 24, 32), "blocks": (2, 1), "resolution": 18, "classes": 10,
     "in_channels": 1, "pools": ("sep3+mb3e1+mb5e3+shuffle3",)},
)  # fmt: skip
SMALL = "budget=8, population=4, images=16, calibration=16"
CONFIG = SearchConfig(f"hurricane(groups='1.2+2|1.1', {SMALL})", epochs=4, batch=8)


@pytest.fixture
def data(digits: ImageData) -> ImageData:
    few, size = torch.arange(48), (18, 18)
    images, test = (
        F.interpolate(torch.as_tensor(x[few]), size)
        for x in (digits.train_images, digits.test_images)
    )
    return replace(
        digits, train_images=images, train_labels=digits.train_labels[few], test_images=test,
        test_labels=digits.test_labels[few],
    )  # fmt: skip


@pytest.mark.parametrize(
    ("blocks", "early"),
    [((4, 4, 8, 4), 8), ((2, 3, 3), 2), ((2, 1), 2), ((1, 2), 1), ((6,), 2), ((2,), 0)],
)
def test_groups_are_the_later_stages_and_then_the_first(
    blocks: tuple[int, ...], early: int
) -> None:
    """About two thirds and one third; of a space of one stage its layers."""
    widths = tuple(8 * (k + 1) for k in range(len(blocks) + 2))
    space = make_space("operators", {"widths": widths, "blocks": blocks})
    groups = Hurricane().groups_of(space)
    parts = [list(range(early, sum(blocks))), list(range(early))]
    assert groups == [part for part in parts if part]


def test_groups_are_beginnings_of_names() -> None:
    assert Hurricane(groups="2|1").groups_of(SPACE) == [[2], [0, 1]]
    assert Hurricane(groups="1.2+2|1.1").groups_of(SPACE) == [[1, 2], [0]]
    assert Hurricane(groups="1.2+2|1.1").begins(SPACE, 4) == [0, 3]
    assert Hurricane(groups="2|1.1|1.2").begins(SPACE, 3) == [0, 1, 2]
    assert Hurricane(groups="2|1.1|1.2").begins(SPACE, 30) == [0, 10, 20]


def test_a_group_begins_when_the_one_before_has_settled() -> None:
    method = Hurricane(groups="2|1", settled=0.45)
    rising = [k / 100 for k in range(12)]  # a point an epoch, and then nothing
    flat = [*rising, *[0.11] * 8]
    settled = SinglePath(settled=0.45).settles_with(flat)
    assert settled == 16  # a third of a point over three epochs; with 14 a half over two
    assert SinglePath().settles_with(flat) is None
    assert SinglePath(settled=0.45).settles_with(rising) is None
    assert SinglePath(settled=101).settles_with(rising) == 10
    assert method.begins(SPACE, 100) == [0, 99]
    assert method.begins(SPACE, 100, flat[:15]) == [0, 99]
    assert method.begins(SPACE, 100, flat[:16]) == method.begins(SPACE, 100, flat) == [0, 16]
    assert method.begins(SPACE, 14, flat[:14]) == [0, 13]
    whole = flat[:16] + flat
    assert [method.ends(SPACE, 100, whole[:n]) for n in (16, 31, 32)] == [False, False, True]
    assert method.ends(SPACE, 31, whole[:31])
    assert not SinglePath(settled=0.45).ends(SPACE, 100, flat[:15])
    assert SinglePath(settled=0.45).ends(SPACE, 100, flat)


@pytest.mark.slow  # 8 s
def test_a_search_ends_when_its_last_group_has_settled(data: ImageData, tmp_path: Path) -> None:
    """A rise of more than a hundred points cannot be, so that each has 10 epochs; also where the
    search is interrupted within the second group."""
    method = f"hurricane(groups='2|1', settled=101, {SMALL})"
    config = replace(CONFIG, method=method, epochs=50)
    straight, resumed = straight_and_resumed(SPACE, data, config, tmp_path, stop_after=13)
    assert len(straight.history) == len(resumed.history) == 20
    assert straight.architecture == resumed.architecture
    assert [e.validation_accuracy for e in straight.history] == [
        e.validation_accuracy for e in resumed.history
    ]


@pytest.mark.parametrize(
    ("groups", "epochs", "why"),
    [
        ("2|1.1", 4, r"lack 1\.2 of the space"),
        ("2|3|1", 4, r"'3' in the groups '2\|3\|1' is no variable .* left are 1\.1 and 1\.2"),
        ("2+9|1", 4, r"'9' in the groups"),
        ("2+1|1", 4, r"'1' in the groups .* left are none"),
        ("2|1.1|1.2", 2, "searches 3 groups of layers and needs an epoch for each, got epochs = 2"),
    ],
)
def test_groups_that_do_not_cover_the_layers_are_refused(
    groups: str, epochs: int, why: str
) -> None:
    with pytest.raises(UsageError, match=why):
        check_searchable(SPACE, SearchConfig(f"hurricane(groups={groups!r})", epochs=epochs))


def test_one_group_is_a_single_path(data: ImageData, tmp_path: Path) -> None:
    one = search(
        SPACE, data, replace(CONFIG, method=f"hurricane(groups='1+2', {SMALL})"),
        directory=tmp_path / "a",
    )  # fmt: skip
    other = search(
        SPACE, data, replace(CONFIG, method=f"single-path({SMALL})"), directory=tmp_path / "b"
    )
    assert one.architecture == other.architecture
    assert [e.train_accuracy for e in one.history] == [e.train_accuracy for e in other.history]


def test_what_a_stage_found_rests_in_the_next(data: ImageData, tmp_path: Path) -> None:
    """By the paths that are drawn."""
    model, ends = counted_model(SPACE, "macs"), list[int]()
    penalty = LatencyPenalty.of(model, SearchConfig())
    drawn = SinglePathRelaxation._drawn
    codes = list[tuple[int, ...]]()

    def watched(
        self: SinglePathRelaxation, n: int, generator: torch.Generator
    ) -> list[tuple[int, ...]]:
        found = drawn(self, n, generator)
        codes.extend(found)
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SinglePathRelaxation, "_drawn", watched)
        found = search(
            SPACE, data, CONFIG, penalty, directory=tmp_path,
            progress=lambda _: ends.append(len(codes)),
        )  # fmt: skip
    first, second = codes[: ends[2]], codes[ends[2] :]
    assert len({code[0] for code in first}) == 1
    own = model.predict([SPACE.of((k, *SPACE.reference().code[1:])) for k in range(4)])
    assert sorted(range(4), key=own.__getitem__)[1] == first[0][0]  # the median of four
    assert len({code[1:] for code in first}) > 3
    assert {code[1:] for code in second} == {found.architecture.code[1:]}
    assert len({code[0] for code in second}) > 1
    assert sorted(path.name for path in tmp_path.glob("*scores.jsonl")) == [
        "3-scores.jsonl", "scores.jsonl",
    ]  # fmt: skip


def test_the_weights_are_kept_between_the_stages(
    data: ImageData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second one begins with those that the first one ended with, and moves on from there."""
    begun, run = list[dict[str, torch.Tensor]](), loop._run_epoch

    def watched(parts: SearchState, *given: Any) -> SearchEpoch:
        begun.append({k: v.clone() for k, v in parts.supernet.state_dict().items()})
        return run(parts, *given)

    monkeypatch.setattr(loop, "_run_epoch", watched)
    ended = list[dict[str, torch.Tensor]]()
    search(
        SPACE, data, CONFIG, directory=tmp_path,
        progress=lambda _: ended.append(dict(read_supernet(tmp_path / CHECKPOINT))),
    )  # fmt: skip
    assert begun[3].keys() == ended[2].keys()
    assert all(torch.equal(begun[3][k], ended[2][k]) for k in ended[2])
    assert not all(torch.equal(begun[0][k], ended[2][k]) for k in ended[2])
    assert not all(torch.equal(ended[3][k], ended[2][k]) for k in ended[2])


@pytest.mark.parametrize("epochs", [2, 4])
def test_it_goes_on_where_it_stopped(epochs: int, data: ImageData, tmp_path: Path) -> None:
    """Before the second group, and within it."""
    method = f"hurricane(groups='2|1', {SMALL})"
    config = replace(CONFIG, method=method, epochs=epochs)
    assert parse_method(method).begins(SPACE, epochs) == [0, 1]  # type: ignore[attr-defined]
    straight, resumed = straight_and_resumed(SPACE, data, config, tmp_path)
    assert straight.architecture == resumed.architecture
    assert [e.train_accuracy for e in straight.history] == [
        e.train_accuracy for e in resumed.history
    ]


def test_a_search_that_stops_while_it_chooses_goes_on(data: ImageData, tmp_path: Path) -> None:
    straight = search(SPACE, data, CONFIG, directory=tmp_path / "a")

    def stop(networks: int, of: int) -> None:
        assert of == 8
        if networks == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search(SPACE, data, CONFIG, directory=tmp_path / "b", scored=stop)
    kept = (tmp_path / "b" / "3-scores.jsonl").read_text().count("\n")
    assert kept == 1 + 3
    resumed = search(SPACE, data, CONFIG, directory=tmp_path / "b")
    assert resumed.architecture == straight.architecture


def test_scores_of_a_supernet_that_is_no_more_are_forgotten(
    data: ImageData, tmp_path: Path
) -> None:
    search(SPACE, data, CONFIG, directory=tmp_path)
    (tmp_path / CHECKPOINT).unlink()
    other = search(SPACE, data, replace(CONFIG, seed=1), directory=tmp_path)
    assert other.resumed_from == 0


@pytest.mark.parametrize("rank", [0, 1, 5, 30])
def test_every_stage_keeps_the_limit(rank: int, data: ImageData, tmp_path: Path) -> None:
    """Also where nothing keeps it beside early layers of the median cost, and at the cheapest."""
    model = counted_model(SPACE, "macs")
    every = sorted(float(model.predict([SPACE.unrank(i)])[0]) for i in range(SPACE.size))
    config = replace(CONFIG, target=every[rank] * 1.001)
    found = search(SPACE, data, config, LatencyPenalty.of(model, config), directory=tmp_path)
    assert found.met
    assert model.predict([found.architecture])[0] <= every[rank] * 1.001
    for name in ("3-scores.jsonl", "scores.jsonl"):
        lines = (tmp_path / name).read_text().splitlines()[1:]
        assert lines or rank == 0
        for line in lines:
            assert model.predict([json.loads(line)["architecture"]])[0] <= every[rank] * 1.001


@pytest.mark.parametrize(("name", "why"), [("darts", "chooses a set"), ("ofa", "is not in every")])
def test_layers_that_may_not_be_there_are_refused(name: str, why: str) -> None:
    space = make_space(name, dict(make_space(name).small))
    with pytest.raises(UsageError, match=why):
        parse_method("hurricane").check(space, CONFIG)


def test_its_text_has_its_groups() -> None:
    text = str(parse_method("hurricane(groups='2+1|0', budget=3)"))
    assert parse_method(text) == Hurricane(groups="2+1|0", budget=3)
