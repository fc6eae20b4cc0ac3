from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Generator, Tensor

from latbench.search.relaxations.darts_relaxation import DartsRelaxation
from latbench.spaces import darts
from latbench.spaces.architecture import Architecture
from latbench.spaces.cells.genotypes import NONE, OPERATIONS

SPACE = darts()
ALL = (NONE, *OPERATIONS)
EDGES = [(node, source) for node in range(4) for source in range(node + 2)]


def relaxation(alpha: Tensor | None = None) -> DartsRelaxation:
    made = DartsRelaxation(SPACE, Generator().manual_seed(0))
    if alpha is not None:
        made.alpha.data.copy_(alpha.flatten())
    return made


def decode(vector: Tensor) -> Architecture:
    cells = []
    for rows in vector.reshape(2, len(EDGES), len(ALL)).tolist():
        nodes: list[list[str]] = [[], [], [], []]
        for (target, source), row in zip(EDGES, rows, strict=True):
            if any(row):
                nodes[target].append(f"{ALL[row.index(1.0)]}~{source}")
        cells.append("+".join(f"|{'|'.join(node)}|" for node in nodes))
    return SPACE.parse(f"normal:{cells[0]};reduce:{cells[1]}")


def test_derive_matches_an_example_worked_by_hand() -> None:
    alpha = torch.zeros(2, 14, 8)
    # Normal cell. Node 0 has edges 0 and 1 only: both stay.
    alpha[0, 0, 4], alpha[0, 1, 7] = 1.0, 2.0
    # Node 1, edges 2 to 4: the middle one is nearly all 'none', so it goes.
    alpha[0, 2, 1], alpha[0, 3, 0], alpha[0, 4, 3] = 1.0, 9.0, 0.5
    # Node 2, edges 5 to 8. Edge 5 has the largest logit (3), but beside equals, so its probability
    # is about 1/7; edges 7 and 8 stay.
    alpha[0, 5, 1:] = 3.0
    alpha[0, 7, 5], alpha[0, 8, 6] = 2.0, 1.5
    # Node 3, edges 9 to 13: all equal, so the first two stay with the first operation but 'none'.
    assert relaxation(alpha).derive() == SPACE.parse(
        "normal:|sep_conv_3x3~0|dil_conv_5x5~1|+|max_pool_3x3~0|skip_connect~2|"
        "+|sep_conv_5x5~2|dil_conv_3x3~3|+|max_pool_3x3~0|max_pool_3x3~1|"
        ";reduce:" + "+".join(["|max_pool_3x3~0|max_pool_3x3~1|"] * 4)
    )


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31), st.sampled_from([0.0, 0.1, 1.0, 10.0, 1000.0]))
def test_samples_are_encodings_of_genotypes(seed: int, scale: float) -> None:
    generator = Generator().manual_seed(seed)
    made = relaxation(scale * torch.randn(2, 14, 8, generator=generator))
    samples = made.sample(5, generator)
    for vector in samples.detach():
        assert np.array_equal(SPACE.one_hot(decode(vector)), vector.numpy())
    samples.square().sum().backward()  # type: ignore[no-untyped-call]
    assert made.alpha.grad is not None
    assert torch.isfinite(made.alpha.grad).all()


def test_a_sharp_alpha_is_always_sampled_as_derived() -> None:
    encoding = torch.from_numpy(SPACE.one_hot(SPACE.sample(0, 3))).reshape(2, 14, 8)
    alpha = 40 * encoding
    alpha[..., 0] += 40 * (1 - encoding.sum(-1))
    samples = relaxation(alpha).sample(50, Generator().manual_seed(0)).detach()
    assert torch.equal(samples, encoding.flatten().expand_as(samples))


def test_samples_follow_the_generator_alone() -> None:
    made, seeds = relaxation(), [7, 7, 8]
    first, again, other = (made.sample(4, Generator().manual_seed(seed)) for seed in seeds)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31), st.sampled_from([0.1, 3.0, 300.0]))
def test_softened_rows_of_a_node_sum_to_two(seed: int, scale: float) -> None:
    logits = scale * torch.randn(3, 224, generator=Generator().manual_seed(seed))
    made = relaxation()
    soft = torch.nn.functional.pad(made.odds(logits, (), hard=False), (0, 1))
    rows = soft[:, made.one_hot_places].reshape(3, 2, 14, 8)
    assert (rows[..., 0] == 0).all()
    for node in range(4):
        edges = [e for e, (target, _) in enumerate(EDGES) if target == node]
        torch.testing.assert_close(rows[:, :, edges].sum((2, 3)), torch.full((3, 2), 2.0))
    assert torch.allclose(rows[:, :, :2].sum(-1), torch.ones(3, 2, 2))


def test_a_latency_that_no_choice_changes_has_no_gradient() -> None:
    made = relaxation(torch.randn(2, 14, 8, generator=Generator().manual_seed(2)))
    made.sample(16, Generator().manual_seed(0)).sum().backward()  # type: ignore[no-untyped-call]
    assert made.alpha.grad is not None
    assert made.alpha.grad.abs().max() < 1e-5


def test_the_start_is_nearly_uniform() -> None:
    made = relaxation()
    assert made.alpha.shape == (224,)
    assert 5e-4 < made.alpha.std() < 2e-3
    assert made.entropy() == pytest.approx(math.log(8), abs=1e-4)
    assert relaxation(1000 * torch.eye(8)[:1].expand(2, 14, 8)).entropy() == pytest.approx(0)


def test_how_many_inputs_a_node_keeps_is_decided_by_its_edges() -> None:
    """Our rule: flat parameters keep the fewest; an edge stays where its best operation has more
    than seven times the odds of none."""
    space = darts(channels=4, cells=3, least_inputs=1, most_inputs=4)
    made = DartsRelaxation(space, Generator().manual_seed(0))
    found = made.derive()
    kept = [len(found[v.name] or ()) for v in space.forest.variables if v.kind == "input"]
    assert kept == [1] * 8
    rows = made.tables.rows
    for name, by in (("normal.1.0", 1.9), ("normal.1.2", 2.1), ("normal.3.1", 3.0)):
        made.alpha.data[rows[space.forest.index[name]]][4] += by
    for source in range(5):
        made.alpha.data[rows[space.forest.index[f"reduce.3.{source}"]]][1] += 5.0
    again = made.derive()
    assert again["normal.1"] == ("2",)
    assert again["normal.3"] == ("1",)
    assert len(again["reduce.3"] or ()) == 4  # five want to stay, four may


def test_flat_parameters_do_not_keep_nearly_all_edges() -> None:
    """Seven of eight would stay, if the best of seven operations had only to beat none."""
    space = darts(channels=4, cells=3, least_inputs=1, most_inputs=5)
    made = DartsRelaxation(space, Generator().manual_seed(0))
    samples = made.sample(500, Generator().manual_seed(1)).detach()
    # Half of 28 edges, and those that must stay.
    assert 13 < float(samples.sum(-1).mean()) < 18
