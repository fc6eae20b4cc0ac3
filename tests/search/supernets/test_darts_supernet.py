from __future__ import annotations

import pytest
import torch

from latbench.export.torch import to_torch
from latbench.networks.network import NetworkBuilder
from latbench.networks.weights import make_weights
from latbench.search.relaxations.darts_relaxation import DartsRelaxation
from latbench.search.supernets.darts_supernet import Supernet, candidate, candidates
from latbench.search.supernets.mixed_edge import MixedOperation
from latbench.spaces.darts_space import DartsConfig, operation
from latbench.spaces.genotypes import EDGES, OPERATIONS

SMALL = DartsConfig(channels=2, cells=3, classes=5, resolution=8, in_channels=1)


def relaxation() -> DartsRelaxation:
    return DartsRelaxation(torch.Generator().manual_seed(0))


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("name", OPERATIONS[1:])
def test_a_candidate_computes_what_the_exporter_computes(name: str, stride: int) -> None:
    b = NetworkBuilder((2, 4, 7, 7))
    network = b.build(operation(b, b.input, name, 4, stride, affine=False))
    exported = to_torch(network)
    module = candidate(name, (2, 4, 7, 7), stride).eval()
    x = torch.randn(2, 4, 7, 7, generator=torch.Generator().manual_seed(1))
    expected = exported(x)
    if name.endswith("pool_3x3"):  # the supernet normalises poolings, the derived network does not
        module.train()
        flat = expected.transpose(0, 1).flatten(1)
        mean, var = flat.mean(1), flat.var(1, correction=0)
        expected = (expected - mean[:, None, None]) / (var[:, None, None] + 1e-5).sqrt()
    else:
        module.set_weights(make_weights(network))
    torch.testing.assert_close(module(x), expected)


@pytest.mark.parametrize("stride", [1, 2])
def test_the_mixed_operation_is_the_weighted_sum_without_none(stride: int) -> None:
    mixed = MixedOperation(candidates((2, 4, 6, 6), stride), stride).eval()
    x = torch.randn(2, 4, 6, 6)
    one_hot = torch.eye(8)
    parts = [mixed(x, one_hot[k], [k]) for k in range(8)]
    assert parts[0].abs().max() == 0
    weights = torch.softmax(torch.randn(8), dim=0)
    expected = torch.stack([w * part for w, part in zip(weights, parts, strict=True)]).sum(0)
    torch.testing.assert_close(mixed(x, weights, range(8)), expected)


def test_the_supernet_uses_each_cells_own_rows_and_every_edge() -> None:
    net, alphas = Supernet(SMALL, relaxation().edge), relaxation()
    x = torch.randn(4, 1, 8, 8)
    assert net(x, alphas.subgraphs(torch.Generator())[0]).shape == (4, 5)
    net(x, alphas.subgraphs(torch.Generator())[0]).square().sum().backward()
    assert alphas.alpha.grad is not None
    assert (alphas.alpha.grad.abs().sum(-1) > 0).all()
    assert [cell.kind for cell in net.cells] == [0, 1, 1]
    assert all(parameter.grad is not None for parameter in net.parameters())


def test_batch_norms_inside_cells_have_no_scale() -> None:
    net = Supernet(SMALL, relaxation().edge)
    norms = [m for m in net.cells.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert norms
    assert not any(norm.affine for norm in norms)
    edges = [m for m in net.cells.modules() if isinstance(m, MixedOperation)]
    assert len(edges) == 3 * len(EDGES)


@pytest.mark.parametrize("resolution", [32, 40])
def test_the_imagenet_stem_is_split_without_repeating_layers(resolution: int) -> None:
    config = DartsConfig(channels=4, cells=3, classes=3, resolution=resolution, stem="imagenet")
    net = Supernet(config, relaxation().edge)
    convolutions = [m for m in net.stems.modules() if isinstance(m, torch.nn.Conv2d)]
    assert len(convolutions) == 3
    x = torch.randn(2, 3, resolution, resolution)
    assert net(x, relaxation().subgraphs(torch.Generator())[0]).shape == (2, 3)
