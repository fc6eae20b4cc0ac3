"""What is said of limits out of reach and of choices that are hardly made."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch

from latbench.experiment.goals import Goal
from latbench.experiment.search_task import Priced, SearchTask
from latbench.experiment.search_warnings import doubtful_limits, nearly_uniform
from latbench.predictors import make_predictor
from latbench.predictors.model import LatencyModel
from latbench.search.config import SearchConfig
from latbench.search.images.images import ImageData
from latbench.search.supernets.searchable import single_operations
from latbench.spaces import make_space
from latbench.store.dataset import LatencyDataset


@pytest.mark.parametrize(("sharpness", "uniform"), [(0.0, True), (0.1, True), (1.0, False)])
def test_choices_are_made_or_not(sharpness: float, uniform: bool) -> None:
    logits = sharpness * np.random.default_rng(0).normal(size=(2, 14, 8))
    p = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    rows = p.astype(np.float32).reshape(28, 8)
    said = nearly_uniform({str(i): row for i, row in enumerate(rows)}, "λ = 1")
    assert (said is not None) is uniform
    if said:
        assert said.startswith("the choices are still nearly uniform (λ = 1; entropy 2.0")
        assert "of at most 2.08)" in said
    decided = {str(i): row for i, row in enumerate(np.eye(5, dtype=np.float32))}
    assert nearly_uniform(decided, "") is None
    fifths = {str(i): np.full(5, 0.2, np.float32) for i in range(6)}
    assert "1.61 of at most 1.61" in (nearly_uniform(fifths, "") or "")
    assert nearly_uniform({}, "") is None


@pytest.mark.parametrize(("name", "operations"), [("darts", 7), ("nasbench201", 5)])
def test_a_network_of_each_operation(name: str, operations: int) -> None:
    """In the DARTS space no network is of ``none``."""
    space = make_space(name, {})
    found = single_operations(space)
    assert len(found) == operations
    for architecture in found:
        assert space.parse(str(architecture)) == architecture
        assert len(set(re.findall(r"\|(\w+)~", str(architecture)))) == 1


SPACE = make_space("nasbench201", {"channels": 4, "cells": 1, "resolution": 8})


def priced(scale: float) -> Priced:
    """A predictor of networks of 1 ms and, with each convolution, 1 ms more, times ``scale``."""
    sample = [a for _, a in SPACE.unique_samples(0, 60)]
    values = np.array([scale * (1e-3 + 1e-3 * str(a).count("conv")) for a in sample])
    dataset = LatencyDataset(SPACE, tuple(sample), values, backend="b", device="d")
    return Priced(LatencyModel.fit(dataset, make_predictor("ridge-counts")), 4e-3 * scale)


def test_a_limit_that_none_or_all_of_the_tried_networks_keep_is_doubted() -> None:
    """The costs on a go from 1 to 7 ms, those on b are ten times as high."""
    nothing = torch.zeros(0)
    data = ImageData("d", nothing, nothing, nothing, nothing, 10, nothing, 0, False)
    task = SearchTask(SPACE, data, {"a": priced(1.0), "b": priced(10.0)}, SearchConfig(), None)
    limits = {"0.9ms": "reach", "1.5ms": "", "6.5ms": "", "7.2ms": "nothing"}

    def doubts(*goals: Goal) -> list[tuple[str, str, str]]:
        found = []
        for said in doubtful_limits(task, goals):
            limit, rest = said.removeprefix("at most ").split(" on ")
            kind = "reach" if "out of reach: the cheapest of 205" in rest else ""
            kind = "nothing" if "limit nothing: the dearest of 205" in rest else kind
            found.append((limit, rest[0], kind))
        return found

    alone = [Goal(("a",), targets=(text,)) for text in limits]
    assert doubts(Goal(("a",), 0.5), *alone) == [
        ("0.900 ms", "a", "reach"), ("7.20 ms", "a", "nothing")
    ]  # fmt: skip
    assert doubts(alone[1], alone[2]) == []
    # Each of the backends that are paid for at once has a limit of its own.
    assert doubts(Goal(("a", "b"), targets=("8ms", "8ms")), Goal(("b",), targets=("20ms",))) == [
        ("8.00 ms", "a", "nothing"), ("8.00 ms", "b", "reach"),
    ]  # fmt: skip
