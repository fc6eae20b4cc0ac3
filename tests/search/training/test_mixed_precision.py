from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from latbench.search import SearchConfig, TrainConfig, search, train
from latbench.search.images.images import ImageData
from latbench.search.training.mixed_precision import Caster
from latbench.search.training.steps import sgd
from latbench.spaces import darts, nasbench201

SPACE = nasbench201(channels=4, cells=1, resolution=8, in_channels=1)
CONFIG = SearchConfig(epochs=1, batch=32, channels=4, cells=1, alpha_learning_rate=0.1)


def test_bfloat16_searches_close_to_float32_and_keeps_float32_parameters(
    digits: ImageData, tmp_path: Path
) -> None:
    both = {}
    for precision in ("float32", "bfloat16"):
        config = replace(CONFIG, precision=precision)
        both[precision] = search(SPACE, digits, config, directory=tmp_path / precision)
    exact, rounded = (both[p].course["alpha"][0] for p in ("float32", "bfloat16"))
    assert rounded.dtype == np.float32
    assert not np.array_equal(exact, rounded)
    assert np.abs(exact).max() > 0.05  # it moved ...
    assert np.corrcoef(exact.flat, rounded.flat)[0, 1] > 0.8  # ... the same way


def test_bfloat16_trains(digits: ImageData) -> None:
    space = darts(channels=4, cells=3, resolution=8, in_channels=1)
    config = TrainConfig(epochs=1, batch=32, precision="bfloat16")
    outcome = train(space.build(space.reference()), digits, config)
    assert all(w.dtype == np.float32 and np.isfinite(w).all() for w in outcome.weights.values())


def test_what_a_loss_does_not_depend_on_has_a_gradient_of_zeros() -> None:
    caster = Caster("float32", "cpu")
    used, unused = torch.ones(2, requires_grad=True), torch.ones(3, requires_grad=True)
    gradients = caster.gradients((2 * used).sum(), [used, unused])
    assert [g.tolist() for g in gradients] == [[2, 2], [0, 0, 0]]
    gradients = caster.gradients(torch.tensor(1.0), [used, unused])
    assert [g.tolist() for g in gradients] == [[0, 0], [0, 0, 0]]


@pytest.mark.gpu
def test_float16_scales_its_losses_and_leaves_out_what_overflows() -> None:
    torch.manual_seed(0)
    module = nn.Linear(4, 1).cuda()
    caster, optimizer = Caster("float16", "cuda"), sgd(module, 0.1, 0.0, 0.0)
    x = torch.randn(8, 4, device="cuda")
    before, scale = module.weight.detach().clone(), caster.scaler.get_scale()
    with caster.cast():
        loss = module(x).square().mean()
    (gradient,) = caster.gradients(loss, [module.weight])
    with caster.cast():
        loss = module(x).square().mean()
    caster.step(loss, module, optimizer, 1e9)
    torch.testing.assert_close(module.weight, before - 0.1 * gradient, rtol=1e-2, atol=1e-4)
    before = module.weight.detach().clone()
    caster.step(module(x).mean() * float("inf"), module, optimizer, 1e9)
    assert torch.equal(module.weight, before)
    assert caster.scaler.get_scale() < scale
