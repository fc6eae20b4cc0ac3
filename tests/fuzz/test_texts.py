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
PAIRS = "[('sep_conv_3x3', 0), ('skip_connect', 1)" + ", ('max_pool_3x3', 0), ('none', 2)" * 3 + "]"
CALL = (
    f"Genotype(normal={PAIRS}, normal_concat=range(2, 6), reduce={PAIRS}, "
    "reduce_concat=[2, 3, 4, 5])"
)
DEMO = resources.files("latbench.experiment").joinpath("demo.toml").read_text()
SEARCH = (Path(__file__).parents[2] / "benchmarks" / "search.toml").read_text()


@fuzzing
@given(
    damaged_text([
        str(DARTS.reference()), *(str(DARTS.sample(0, i)) for i in range(3)), "DARTS_V1", CALL,
        f"13:25 genotype = {CALL}\n" * 2, str(((*[(0, 3), (1, 3)] * 4,),) * 2),
        str({"edge_normal_0": "skip_connect", "inputs_node_normal_3": "0_1"}),
    ])
)  # fmt: skip
def test_genotypes(text: str) -> None:
    read_or_refuse(len(text), lambda: DARTS.parse(text))


@fuzzing
@given(
    damaged_text([
        *(str(NAS201.sample(0, i)) for i in range(4)), "nb201#1234",
        str({"C": 4, "N": 1, "arch_str": str(NAS201.reference()), "num_classes": 10}),
    ])
)  # fmt: skip
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
