"""Damaged texts: genotypes, spaces, experiment files, amounts. 10,000 cases each."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import pytest
from hypothesis import given
from mutations import damaged_text, fuzzing, read_or_refuse

from latbench.experiment.toml_file import parse_experiment
from latbench.spaces import darts, nasbench201, parse_space
from latbench.timing.metric import parse_amount, parse_metric

pytestmark = pytest.mark.fuzz

DARTS, NAS201 = darts(channels=4, cells=3), nasbench201(channels=4, cells=1)
DEMO = resources.files("latbench.experiment").joinpath("demo.toml").read_text()
SEARCH = (Path(__file__).parents[2] / "benchmarks" / "search.toml").read_text()


@fuzzing
@given(
    damaged_text([str(DARTS.reference()), *(str(DARTS.sample(0, i)) for i in range(3)), "DARTS_V1"])
)
def test_genotypes(text: str) -> None:
    read_or_refuse(len(text), lambda: DARTS.parse(text))


@fuzzing
@given(damaged_text([str(NAS201.sample(0, i)) for i in range(4)]))
def test_cells(text: str) -> None:
    read_or_refuse(len(text), lambda: NAS201.parse(text))


@fuzzing
@given(damaged_text([str(DARTS), str(NAS201), "darts(stem=imagenet, batch=2)"]))
def test_spaces(text: str) -> None:
    read_or_refuse(len(text), lambda: parse_space(text))


@fuzzing
@given(damaged_text([DEMO, SEARCH]))
def test_experiment_files(text: str) -> None:
    read_or_refuse(len(text), lambda: parse_experiment(text, Path("e.toml")))


@fuzzing
@given(damaged_text(["5ms", "80%", "12.5 MiB", "1e-3s", "3 kJ"]))
def test_amounts(text: str) -> None:
    for metric in ("latency", "memory", "energy"):
        read_or_refuse(len(text), lambda: parse_amount(parse_metric(metric), text, 1.0))  # noqa: B023
