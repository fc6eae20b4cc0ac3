from __future__ import annotations

import torch
from torch import nn

from latbench.export.torch import NetworkModule
from latbench.search.relaxations.darts_relaxation import DartsRelaxation
from latbench.search.supernets.nasbench201_supernet import NASBENCH201, Supernet201
from latbench.spaces.nasbench201_space import EDGES, NasBench201Config, NasBench201Space

CONFIG = NasBench201Config(channels=2, cells=1, classes=5, resolution=8, in_channels=1)
SPACE = NasBench201Space(CONFIG)


def supernet() -> Supernet201:
    choices = DartsRelaxation(torch.Generator().manual_seed(0), NASBENCH201)
    return Supernet201(CONFIG, choices.edge)


def test_a_one_hot_supernet_is_the_derived_network() -> None:
    """Up to batch norms: the supernet runs with fresh ones, which have scale 1 and shift 0."""
    net = supernet()
    cell = SPACE.parse(
        "|nor_conv_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|avg_pool_3x3~0|nor_conv_3x3~1|none~2|"
    )
    derived = NetworkModule(SPACE.build(cell)).train()
    rows = torch.from_numpy(SPACE.one_hot(cell)).reshape(NASBENCH201.shape)
    assert NASBENCH201.architecture(rows) == cell
    x = torch.randn(6, 1, 8, 8)
    used = [m for m in derived.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    ran: list[nn.Module] = []
    for m in net.modules():
        if isinstance(m, nn.Conv2d | nn.Linear):
            m.register_forward_hook(lambda module, *_: ran.append(module))
    expected = net(x, rows)
    # A derived network lists its layers in the order in which the supernet ran them, but leaves
    # out those that do not reach the output: node 2's, since 'none' follows it.
    weights = list(ran)
    assert len(weights) > len(used)
    for cell_module in (m for m in net.modules() if hasattr(m, "edges")):
        dropped = {id(p) for e in (1, 2) for p in cell_module.edges[e].modules()}  # type: ignore[union-attr,index]
        weights = [m for m in weights if id(m) not in dropped]
    assert len(weights) == len(used)
    for source, target in zip(weights, used, strict=True):
        target.load_state_dict(source.state_dict())
    torch.testing.assert_close(derived(x), expected)


def test_batch_norms_in_cells_have_no_scale_and_no_statistics() -> None:
    net = supernet()
    inside = [m for n, m in net.named_modules() if isinstance(m, nn.BatchNorm2d) and "edges" in n]
    outside = [
        m for n, m in net.named_modules() if isinstance(m, nn.BatchNorm2d) and "edges" not in n
    ]
    assert len(inside) == 3 * len(EDGES) * 2
    assert not any(m.affine or m.track_running_stats or m.running_mean is not None for m in inside)
    assert all(m.affine and m.track_running_stats for m in outside)
    net.eval()
    x = torch.randn(4, 1, 8, 8)
    weights = torch.full(NASBENCH201.shape, 0.2)
    assert net(x, weights).shape == (4, 5)
