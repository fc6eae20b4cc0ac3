from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from latbench.errors import ParseError, UsageError
from latbench.search.baselines.scores import RememberedScore
from latbench.search.baselines.searches import evolution
from latbench.spaces import darts, make_space, nasbench201

SPACE = nasbench201()


def size(architecture: Any) -> float:
    return float(SPACE.counts(architecture) @ [1, 2, 4, 0.1])


def test_an_interrupted_search_goes_on_where_it_was(tmp_path: Path) -> None:
    def run(score: Any) -> Any:
        return evolution(SPACE, lambda many: np.ones(len(many)), score, limit=1, budget=80)

    calls = 0

    def killed(architecture: Any) -> float:
        nonlocal calls
        calls += 1
        if calls > 60:
            raise KeyboardInterrupt
        return size(architecture)

    path = tmp_path / "deep" / "scores.jsonl"
    with pytest.raises(KeyboardInterrupt):
        run(RememberedScore(killed, SPACE, path, "size"))
    with path.open("a") as file:
        file.write('{"architecture": "|no')  # the kill came within a line
    again = RememberedScore(size, SPACE, path, "size")
    assert run(again) == run(size)
    assert again.computed == 20
    third = RememberedScore(size, SPACE, path, "size")
    assert run(third) == run(size)
    assert third.computed == 0


def test_the_worst_score_is_kept_too(tmp_path: Path) -> None:
    path = tmp_path / "scores"
    one = SPACE.sample(0, 0)
    assert RememberedScore(lambda a: -math.inf, SPACE, path, "x")(one) == -math.inf
    again = RememberedScore(size, SPACE, path, "x")
    assert again(one) == -math.inf
    assert again.computed == 0


def test_scores_of_something_else_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "scores"
    RememberedScore(size, SPACE, path, "size")
    with pytest.raises(UsageError, match="another space or label"):
        RememberedScore(size, SPACE, path, "accuracy")
    with pytest.raises(UsageError, match="another space or label"):
        RememberedScore(size, darts(), path, "size")


@pytest.mark.parametrize("line", ["{", "[]", '{"architecture": "a"}', '{"score": 1}', "3"])
def test_a_broken_file_is_refused(tmp_path: Path, line: str) -> None:
    path = tmp_path / "scores"
    RememberedScore(size, SPACE, path, "size")
    with path.open("a") as file:
        file.write(line + "\n")
    with pytest.raises(ParseError, match="delete"):
        RememberedScore(size, SPACE, path, "size")


def test_scores_of_a_space_with_lists_of_settings_are_taken_up(tmp_path: Path) -> None:
    space = make_space("nats-size")
    path, a = tmp_path / "scores.jsonl", space.reference()
    assert RememberedScore(lambda _: 0.5, space, path, "x")(a) == 0.5
    again = RememberedScore(lambda _: 0.7, space, path, "x")
    assert (again(a), again.computed) == (0.5, 0)
