"""The goals of a sweep, and where their results go."""

from __future__ import annotations

from pathlib import Path

import pytest

from latbench.experiment.goals import Goal, make_goals
from latbench.experiment.sweep import result_path


def test_goals_of_one_name_are_one() -> None:
    """They would write into one folder."""
    found = make_goals(
        [("a",), ("b",)], [0, 0.5, 0.5, 0.50000001], {"a": ["5ms", "5 ms"], "b": ["6ms"]}
    )
    assert [(*goal.backends, goal.name) for goal in found] == [
        ("a", "weight-0"), ("a", "weight-0.5"), ("b", "weight-0.5"), ("a", "target-5ms"),
        ("b", "target-6ms"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("backends", "folder"),
    [
        (("onnxruntime",), "onnxruntime"),
        (("mine:Backend", "ncnn"), "mine:Backend+ncnn"),
        (("../../etc:Backend",), "--..-etc:Backend"),
        (("/etc:Backend",), "-etc:Backend"),
        (("..",), "-"),
        (("",), "-"),
    ],
)
def test_no_backends_name_leads_out_of_the_folder(
    backends: tuple[str, ...], folder: str, tmp_path: Path
) -> None:
    """A model's card may name any."""
    path = result_path(tmp_path, Goal(backends, 0.5))
    assert path == tmp_path / folder / "weight-0.5" / "result.json"
    assert path.resolve().is_relative_to(tmp_path.resolve())
