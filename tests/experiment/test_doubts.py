"""What is said of limits out of reach and of choices that are hardly made."""

from __future__ import annotations

import re

import numpy as np
import pytest

from latbench.experiment.doubts import nearly_uniform
from latbench.search.searchable import single_operations
from latbench.spaces import make_space


@pytest.mark.parametrize(("sharpness", "uniform"), [(0.0, True), (0.1, True), (1.0, False)])
def test_choices_are_made_or_not(sharpness: float, uniform: bool) -> None:
    logits = sharpness * np.random.default_rng(0).normal(size=(2, 14, 8))
    p = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    said = nearly_uniform(p.astype(np.float32), "λ = 1")
    assert (said is not None) is uniform
    if said:
        assert said.startswith("the choices are still nearly uniform (λ = 1; entropy 2.0")
        assert "of at most 2.08)" in said
    decided = np.eye(5, dtype=np.float32)
    assert nearly_uniform(decided, "") is None
    assert "1.61 of at most 1.61" in (nearly_uniform(np.full((6, 5), 0.2, np.float32), "") or "")


@pytest.mark.parametrize(("name", "operations"), [("darts", 7), ("nasbench201", 5)])
def test_a_network_of_each_operation(name: str, operations: int) -> None:
    """In the DARTS space no network is of ``none``."""
    space = make_space(name, {})
    found = single_operations(space)
    assert len(found) == operations
    for architecture in found:
        assert space.parse(str(architecture)) == architecture
        assert len(set(re.findall(r"\|(\w+)~", str(architecture)))) == 1
