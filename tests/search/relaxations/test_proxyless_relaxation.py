from __future__ import annotations

import pytest
import torch
from own_spaces import Joined, small_blocks
from torch import Generator, Tensor

from latbench.errors import UsageError
from latbench.search import SearchConfig
from latbench.search.methods import make_method
from latbench.search.relaxations.proxyless_relaxation import ProxylessRelaxation
from latbench.spaces import nasbench201

SPACE = nasbench201()


def relaxation() -> ProxylessRelaxation:
    made = ProxylessRelaxation(SPACE, Generator().manual_seed(0))
    made.alpha.data[2] = 2.0
    return made


def first_row(made: ProxylessRelaxation, stream: Generator) -> Tensor:
    return made.subgraphs(stream)[0][:5]


def test_two_options_run_and_one_counts() -> None:
    made = relaxation()
    for seed in range(20):
        rows = made.subgraphs(Generator().manual_seed(seed))[0].detach().view(6, 5)
        assert ((rows > 0).sum(-1) == 2).all()
        assert ((rows == 1).sum(-1) == 1).all()
        assert (rows.sum(-1) == 1).all()  # the second adds nothing


def test_the_one_that_counts_is_drawn_by_the_odds_of_all() -> None:
    made, stream = relaxation(), Generator().manual_seed(1)
    draws = torch.stack([(first_row(made, stream).detach() == 1).float() for _ in range(2000)])
    odds = torch.softmax(made.alpha.detach()[:5], -1)
    assert (draws.mean(0) - odds).abs().max() < 0.04


def test_the_gradient_is_that_of_the_softmax_of_the_two() -> None:
    made = relaxation()
    row = first_row(made, Generator().manual_seed(3))
    i, j = row.detach().topk(2).indices.tolist()
    slope = torch.randn(5, generator=Generator().manual_seed(4))
    (row * slope).sum().backward()  # type: ignore[no-untyped-call]
    a = made.alpha.detach()[[i, j]].clone().requires_grad_()
    (torch.softmax(a, -1) * slope[[i, j]]).sum().backward()  # type: ignore[no-untyped-call]
    assert made.alpha.grad is not None
    assert a.grad is not None
    torch.testing.assert_close(made.alpha.grad[[i, j]], a.grad)
    assert int((made.alpha.grad != 0).sum()) == 2


def stepped(made: ProxylessRelaxation, penalty: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """The change of the first row's odds by one step of plain gradient descent, and what was drawn
    in it; ``penalty`` is a gradient of the row besides the task's."""
    before = torch.softmax(made.alpha.detach().clone()[:5], -1)
    row = first_row(made, Generator().manual_seed(3))
    drawn = row.detach() > 0
    loss = 8 * (row * torch.arange(5.0)).sum()
    if penalty is not None:
        loss = loss + (made.alpha[:5] * penalty).sum()
    optimizer = torch.optim.SGD(made.parameters(), lr=0.5)
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    made.stepped()
    return torch.softmax(made.alpha.detach()[:5], -1) - before, drawn


def test_a_step_leaves_the_odds_of_what_was_not_drawn() -> None:
    """Also where the two are far from equal, so that opposite steps alone do not keep them."""
    change, drawn = stepped(relaxation())
    assert int(drawn.sum()) == 2
    assert change[drawn].abs().min() > 0.08
    assert change[~drawn].abs().max() < 1e-6


def test_the_push_of_a_penalty_on_what_was_drawn_is_kept() -> None:
    """A penalty on the two drawn options alike makes them less likely, drawn as they are."""
    drawn = stepped(relaxation())[1]
    alone, _ = stepped(relaxation())
    pushed, _ = stepped(relaxation(), drawn.float())
    assert pushed[drawn].sum() < alone[drawn].sum() - 0.01
    torch.testing.assert_close(pushed.sum(), torch.tensor(0.0), atol=1e-6, rtol=0)


def test_only_what_was_drawn_moves_as_published() -> None:
    """Adam's default decay moves every parameter, and so does a beta1 in the steps to come."""
    for betas, decay, moved in (((0.0, 0.999), 0.0, 2), ((0.0, 0.999), 1e-3, 5)):
        made = relaxation()
        before = made.alpha.detach().clone()
        optimizer = torch.optim.Adam(made.parameters(), 0.1, betas, weight_decay=decay)
        loss = (first_row(made, Generator().manual_seed(3)) * torch.arange(5.0)).sum()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        made.stepped()
        assert int((made.alpha.detach() != before)[:5].sum()) == moved


def test_a_step_of_the_weights_runs_one_path() -> None:
    made = relaxation()
    for seed in range(20):
        both = made.subgraphs(Generator().manual_seed(seed))[0].detach()
        (path,) = made.paths(Generator().manual_seed(seed))
        assert not path.requires_grad
        torch.testing.assert_close(path, (both == 1).float(), atol=0, rtol=0)


def test_a_variable_of_one_option_runs_it() -> None:
    space = small_blocks(widths=(4,), resolutions=(16,))
    made = ProxylessRelaxation(space, Generator().manual_seed(0))
    (weights,) = made.subgraphs(Generator().manual_seed(0))
    offsets = space.forest.offsets
    for i, v in enumerate(space.forest.variables):
        row = weights.detach()[offsets[i] : offsets[i + 1]]
        assert torch.isfinite(row).all()
        assert float(row.sum()) == 1, v.name


def test_sets_and_resolutions_are_refused() -> None:
    method = make_method("proxylessnas")
    with pytest.raises(UsageError, match="'in' is a set; take 'gdas' or 'darts'"):
        method.check(Joined(), SearchConfig())
    with pytest.raises(UsageError, match="a resolution is not mixed"):
        method.check(small_blocks(), SearchConfig())
