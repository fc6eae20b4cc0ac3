from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Generator, Tensor

from latbench.search.relaxations.darts_relaxation import DartsRelaxation
from latbench.search.supernets.choices import gumbel
from latbench.search.supernets.darts_choices import discretise, soften
from latbench.spaces.darts_space import DartsSpace
from latbench.spaces.genotypes import EDGES, OPERATIONS, Genotype

SPACE = DartsSpace()


def relaxation(alpha: Tensor | None = None) -> DartsRelaxation:
    made = DartsRelaxation(Generator().manual_seed(0))
    if alpha is not None:
        made.alpha.data.copy_(alpha)
    return made


def decode(vector: Tensor) -> Genotype:
    cells = []
    for rows in vector.reshape(2, len(EDGES), len(OPERATIONS)).tolist():
        nodes: list[list[tuple[str, int]]] = [[], [], [], []]
        for (target, source), row in zip(EDGES, rows, strict=True):
            if any(row):
                nodes[target].append((OPERATIONS[row.index(1.0)], source))
        cells.append(tuple((first, second) for first, second in nodes))
    return Genotype(cells[0], cells[1])


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
    genotype = relaxation(alpha).derive()
    assert genotype.normal == (
        (("sep_conv_3x3", 0), ("dil_conv_5x5", 1)),
        (("max_pool_3x3", 0), ("skip_connect", 2)),
        (("sep_conv_5x5", 2), ("dil_conv_3x3", 3)),
        (("max_pool_3x3", 0), ("max_pool_3x3", 1)),
    )
    assert genotype.reduce == tuple(((("max_pool_3x3", 0), ("max_pool_3x3", 1)),) * 4)


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


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31))
def test_a_sample_without_noise_is_the_derived_architecture(seed: int) -> None:
    alpha = torch.randn(2, 14, 8, generator=Generator().manual_seed(seed))
    derived = relaxation(alpha).derive()
    assert np.array_equal(SPACE.one_hot(derived), discretise(alpha).flatten().numpy())


def test_a_sharp_alpha_is_always_sampled_as_derived() -> None:
    alpha = torch.zeros(2, 14, 8)
    encoding = torch.from_numpy(SPACE.one_hot(SPACE.sample(0, 3))).reshape(alpha.shape)
    alpha += 40 * encoding
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
    logits = scale * torch.randn(3, 14, 8, generator=Generator().manual_seed(seed))
    soft = soften(logits)
    assert (soft[..., 0] == 0).all()
    for node in range(4):
        edges = [e for e, (target, _) in enumerate(EDGES) if target == node]
        torch.testing.assert_close(soft[:, edges].sum((1, 2)), torch.full((3,), 2.0))
    assert torch.allclose(soft[:, :2].sum(-1), torch.ones(3, 2))


@pytest.mark.parametrize("scale", [0.01, 1.0])
def test_the_gradient_agrees_with_finite_differences(scale: float) -> None:
    """Of the expectation that a linear latency has, one cell, with common random numbers."""
    generator = Generator().manual_seed(1)
    alpha = scale * torch.randn(14, 8, generator=generator)
    cost = torch.rand(14, 8, generator=generator)
    noise = gumbel((3000, 14, 8), generator)

    def expectation(a: Tensor) -> float:
        return float((discretise(a + noise) * cost).sum((1, 2)).mean())

    parameter = alpha.clone().requires_grad_()
    (soften(parameter + noise) * cost).sum((1, 2)).mean().backward()  # type: ignore[no-untyped-call]
    assert parameter.grad is not None
    step, differences = 0.5, torch.zeros(14, 8)
    for e in range(14):
        for k in range(8):
            shift = torch.zeros(14, 8)
            shift[e, k] = step
            rise = expectation(alpha + shift) - expectation(alpha - shift)
            differences[e, k] = rise / (2 * step)
    cosine = torch.cosine_similarity(parameter.grad.flatten(), differences.flatten(), dim=0)
    assert cosine > 0.95  # a plain softmax of each row reaches 0.75
    assert 0.4 < parameter.grad.norm() / differences.norm() < 1.5


def test_a_latency_that_no_choice_changes_has_no_gradient() -> None:
    made = relaxation(torch.randn(2, 14, 8, generator=Generator().manual_seed(2)))
    made.sample(16, Generator().manual_seed(0)).sum().backward()  # type: ignore[no-untyped-call]
    assert made.alpha.grad is not None
    assert made.alpha.grad.abs().max() < 1e-5


def test_the_start_is_nearly_uniform() -> None:
    made = relaxation()
    assert made.alpha.shape == (2, 14, 8)
    assert 5e-4 < made.alpha.std() < 2e-3
    assert made.entropy() == pytest.approx(math.log(8), abs=1e-4)
    assert relaxation(1000 * torch.eye(8)[:1].expand(2, 14, 8)).entropy() == pytest.approx(0)
