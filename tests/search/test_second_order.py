from __future__ import annotations

from collections.abc import Mapping

import pytest
import torch
from own_spaces import small_blocks
from torch import Generator, Tensor, nn
from torch.func import functional_call

from latbench.search import SearchConfig
from latbench.search.presets import preset
from latbench.search.relaxations.darts_relaxation import DartsRelaxation
from latbench.search.second_order import Ahead
from latbench.search.supernets.searchable import make_supernet
from latbench.search.training.steps import sgd


def test_the_gradient_is_that_of_the_loss_after_the_step() -> None:
    """Against the exact derivative through the step, momentum and weight decay included."""
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 1)).double()
    alpha = torch.randn(4, dtype=torch.double, requires_grad=True)
    x, y = torch.randn(2, 6, 4, dtype=torch.double), torch.randn(2, 6, 1, dtype=torch.double)
    optimizer = sgd(module, 0.3, 0.9, 0.05)
    nn.functional.mse_loss(module(x[0]), y[0]).backward()  # type: ignore[no-untyped-call]
    optimizer.step()  # leaves momentum behind

    def loss(which: int, weights: Mapping[str, Tensor]) -> Tensor:
        out = functional_call(module, dict(weights), (x[which] * alpha,))
        return nn.functional.mse_loss(out, y[which])

    now = dict(module.named_parameters())
    slopes = torch.autograd.grad(loss(0, now), list(now.values()), create_graph=True)
    stepped = {
        name: w - 0.3 * (0.9 * optimizer.state[w]["momentum_buffer"] + slope + 0.05 * w)
        for (name, w), slope in zip(now.items(), slopes, strict=True)
    }
    (exact,) = torch.autograd.grad(loss(1, stepped), [alpha])
    (direct,) = torch.autograd.grad(loss(1, {k: w.detach() for k, w in stepped.items()}), [alpha])

    before = {name: w.clone() for name, w in module.state_dict().items()}
    ahead = Ahead.of(module, lambda weights: loss(0, weights), optimizer)
    (found,) = ahead.gradients(loss(1, ahead.weights), [alpha])
    torch.testing.assert_close(found, exact, rtol=1e-4, atol=1e-6)
    assert (direct - exact).abs().max() > 1e-3  # so that the second term matters here
    assert all(torch.equal(before[name], w) for name, w in module.state_dict().items())
    assert all(torch.allclose(w, stepped[name].detach()) for name, w in ahead.weights.items())


def test_the_gradient_goes_through_masks_on_weights() -> None:
    """Of a supernet with open widths, whose masks are put on weights that are themselves put in."""
    space = small_blocks(in_channels=1, classes=10, resolutions=(8,), resolution=8)
    made = DartsRelaxation(space, Generator().manual_seed(0)).double()
    net = make_supernet(space, SearchConfig(), made).double()
    optimizer = sgd(net, 0.05, 0.9, 0.01)
    x = torch.randn(2, 8, 1, 8, 8, dtype=torch.double, generator=Generator().manual_seed(1))
    labels = torch.arange(16).view(2, 8) % 10

    def loss(which: int, weights: Mapping[str, Tensor]) -> Tensor:
        logits = functional_call(net, dict(weights), (x[which], made.subgraphs(Generator())[0]))
        return nn.functional.cross_entropy(logits, labels[which])

    now, alphas = dict(net.named_parameters()), list(made.parameters())
    slopes = torch.autograd.grad(
        loss(0, now), list(now.values()), create_graph=True, materialize_grads=True,
        allow_unused=True,
    )  # fmt: skip
    stepped = {
        name: w - 0.05 * (slope + 0.01 * w)
        for (name, w), slope in zip(now.items(), slopes, strict=True)
    }
    (exact,) = torch.autograd.grad(loss(1, stepped), alphas)
    (direct,) = torch.autograd.grad(loss(1, {k: w.detach() for k, w in stepped.items()}), alphas)
    ahead = Ahead.of(net, lambda weights: loss(0, weights), optimizer)
    (found,) = ahead.gradients(loss(1, ahead.weights), alphas)
    rows = made.tables.rows[space.forest.index["1.width"]]
    for of in (slice(None), rows):
        apart = (exact - direct)[of], (found - direct)[of]
        assert torch.cosine_similarity(*apart, dim=0) > 0.99
        assert apart[1].norm() == pytest.approx(float(apart[0].norm()), rel=0.1)
        assert apart[0].norm() > 0.01 * direct[of].norm()


@pytest.mark.parametrize("dataset", ["cifar10", "nasbench201"])
def test_the_step_ahead_is_plain_momentums_whatever_the_preset_trains_with(dataset: str) -> None:
    """As published: not Nesterov's, with which NAS-Bench-201's is searched, and unclipped."""
    config = preset("darts-2nd", dataset)
    torch.manual_seed(0)
    module = nn.Linear(3, 2).double()
    optimizer = sgd(
        module, config.learning_rate, config.momentum, config.weight_decay, config.nesterov
    )
    x = 100 * torch.randn(8, 3, dtype=torch.double)  # gradients far above what is clipped

    def loss(weights: Mapping[str, Tensor]) -> Tensor:
        out: Tensor = functional_call(module, dict(weights), (x,))
        return out.square().mean()

    now = dict(module.named_parameters())
    for steps in range(2):  # without momentum at first
        slopes = torch.autograd.grad(loss(now), list(now.values()))
        assert torch.cat([s.flatten() for s in slopes]).norm() > config.gradient_clip
        buffers = [optimizer.state[w]["momentum_buffer"] if steps else 0 for w in now.values()]
        ahead = Ahead.of(module, loss, optimizer)
        for (name, w), slope, buffer in zip(now.items(), slopes, buffers, strict=True):
            step = slope + config.weight_decay * w + config.momentum * buffer
            torch.testing.assert_close(ahead.weights[name], w - config.learning_rate * step)
        before = {name: w.detach().clone() for name, w in now.items()}
        optimizer.zero_grad()
        loss(now).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        same = all(torch.allclose(ahead.weights[n], w) for n, w in now.items())
        assert same is not config.nesterov  # unclipped, plain momentum's step is the same
        assert any(not torch.equal(before[n], w) for n, w in now.items())
