"""Supernets as torch modules, of every space."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import torch
from own_spaces import Cut, Joined, small_blocks
from torch import Generator, Tensor, nn

from latbench.errors import UsageError
from latbench.models import Model, save_model
from latbench.networks.supernet_ops import Mixed
from latbench.search.relaxations.darts_relaxation import DartsRelaxation
from latbench.search.supernets.inherited import inherited
from latbench.search.supernets.mixed import (
    MaskModule,
    MixedModule,
    PassWeights,
    WeightLayout,
    read_masked,
)
from latbench.search.supernets.supernet_module import Supernet, SupernetModule, mix_all
from latbench.search.training.steps import prepare
from latbench.spaces import AnySpace, darts, make_space, nasbench201
from latbench.spaces.architecture import Architecture
from latbench.spaces.cells.darts_space import _options
from latbench.spaces.open_number import OpenNumber
from latbench.spaces.supernet import SupernetBuilder

SPACES: list[AnySpace] = [
    darts(channels=4, cells=3, resolution=8), darts(channels=4, cells=3, stem="imagenet"),
    darts(channels=4, cells=3, resolution=8, least_inputs=1, most_inputs=5),
    nasbench201(channels=4, cells=1, resolution=8), small_blocks(), Joined(), Cut(),
    *(make_space(n, dict(make_space(n).small)) for n in ("fbnetv2", "ofa", "nats-size", "resnet")),
    make_space("resnet", {**make_space("resnet").small, "block": "bottleneck"}),
]  # fmt: skip
every_space = pytest.mark.parametrize("space", SPACES, ids=str)


def supernet(space: AnySpace, search: bool = False) -> Supernet:
    torch.manual_seed(0)
    return Supernet(space.supernet(search), space.forest, mix_all)


def weights_of(space: AnySpace, a: Architecture) -> Tensor:
    return torch.from_numpy(space.columns.weights([a.code])[0])


def disturbed(net: Supernet) -> Supernet:
    """Norms that are not the identity, so that a wrong channel shows."""
    stream = Generator().manual_seed(1)
    for norm in net.modules():
        if isinstance(norm, nn.BatchNorm2d) and norm.running_mean is not None:
            norm.running_mean.normal_(generator=stream)
            assert norm.running_var is not None
            norm.running_var.uniform_(0.5, 2.0, generator=stream)
            if norm.affine:
                norm.weight.data.uniform_(0.5, 2.0, generator=stream)
                norm.bias.data.normal_(generator=stream)
    return net


@every_space
def test_a_supernet_computes_what_the_derived_network_computes(space: AnySpace) -> None:
    """With the same weights, in evaluation."""
    check_computes_what_is_derived(space)


@pytest.mark.parametrize("name", ["resnet", "ofa"])
def test_so_does_the_supernet_of_one_networks_widths(name: str, tmp_path: Path) -> None:
    space = make_space(name, dict(make_space(name).small))
    save_model(Model("a network", space.build(space.sample(0, 3))), tmp_path / "model")
    check_computes_what_is_derived(
        make_space("widths", {"model": str(tmp_path / "model"), "step": 2})
    )


def check_computes_what_is_derived(space: AnySpace) -> None:
    net = disturbed(supernet(space)).eval()
    x = torch.randn(2, *space.config.input_shape[1:], generator=Generator().manual_seed(2))
    with torch.no_grad():
        for i in range(12):
            a = space.sample(0, i)
            module = inherited(net, space, a)
            size = module.network.input_shape[2:]
            image = x
            if size != x.shape[2:]:
                image = nn.functional.interpolate(x, size=size, mode="bilinear", antialias=True)
            expected, found = module(image), net(x, weights_of(space, a))
            torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
            assert found.std() > 0


def test_a_search_network_is_not_inherited_from() -> None:
    space = SPACES[0]
    with pytest.raises(UsageError, match="derives another network than is built"):
        inherited(supernet(space, search=True), space, space.reference())


@every_space
def test_only_what_has_a_weight_runs(space: AnySpace) -> None:
    net = supernet(space)
    ran = set[str]()
    leaves = {n: m for n, m in net.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)}
    for name, module in leaves.items():
        module.register_forward_hook(lambda *_, name=name: ran.add(name))
    for i in range(4):
        a = space.sample(3, i)
        ran.clear()
        net(torch.randn(2, *space.config.input_shape[1:]), weights_of(space, a))
        kept = [la for la in space.build(a).layers if type(la.op).__name__ in ("Conv", "Linear")]
        # In NAS-Bench-201 a branch that reaches no output runs as well.
        assert len(ran) >= len(kept)
        assert len(ran) == len(kept) or space.name == "nasbench201"


@every_space
def test_every_weight_and_parameter_learns(space: AnySpace) -> None:
    net = supernet(space, search=True)
    prepare(net, "cpu")  # as a search does: see there for what torch does without
    made, stream = DartsRelaxation(space, Generator().manual_seed(0)), Generator().manual_seed(1)
    x = torch.randn(4, *space.config.input_shape[1:])
    (weights,) = made.subgraphs(stream)
    net(x, weights).square().sum().backward()
    assert made.alpha.grad is not None
    assert all(parameter.grad is not None for parameter in net.parameters())
    assert (made.alpha.grad.abs() > 0).float().mean() > 0.8


@pytest.mark.parametrize("stride", [1, 2])
def test_a_mixed_layer_is_the_weighted_sum(stride: int) -> None:
    b = SupernetBuilder(SPACES[0], True, (2, 4, 6, 6))
    b.one("normal.0.0", _options(stride), b.input)
    op = b._layers[-1].op
    assert isinstance(op, Mixed)
    mixed = MixedModule(op, (2, 4, 6, 6), partial(SupernetModule, mixed=mix_all)).eval()
    x, row = torch.randn(2, 4, 6, 6), torch.softmax(torch.randn(7), dim=0)

    def run(row: Tensor, used: list[int]) -> Tensor:
        out: Tensor = mixed(x, PassWeights({op.variable: row.unbind()}, {op.variable: used}, {}))
        return out

    parts = [run(torch.eye(7)[k], [k]) for k in range(7)]
    expected = torch.stack([w * part for w, part in zip(row, parts, strict=True)]).sum(0)
    torch.testing.assert_close(run(row, list(range(7))), expected)
    nothing = torch.zeros(7, requires_grad=True)
    zeros = run(nothing, [])
    assert zeros.shape == parts[0].shape
    assert zeros.abs().max() == 0
    zeros.sum().backward()  # type: ignore[no-untyped-call]
    assert nothing.grad is not None


def test_a_mask_keeps_the_first_channels_with_their_odds() -> None:
    from latbench.networks.supernet_ops import Mask

    width = OpenNumber(["w"], {(0,): 2, (1,): 3})
    mask = MaskModule(Mask((width, 2)))
    weights = PassWeights({"w": torch.tensor([0.25, 0.75]).unbind()}, {"w": [0, 1]}, {})
    assert mask(weights).tolist() == [1, 1, 0.75, 1, 1]
    thirds = PassWeights({"w": torch.tensor([1 / 3, 2 / 3]).unbind()}, {"w": [0, 1]}, {})
    with torch.autocast("cpu", dtype=torch.bfloat16):  # which keeps three digits
        assert mask(thirds)[2] == torch.tensor(2 / 3)


class Doubled(nn.Conv2d):
    """A layer from outside that does something to its weight."""

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.conv2d(x, self.weight / self.weight.norm())


@pytest.mark.parametrize("kind", [nn.Conv2d, Doubled])
def test_a_masked_layer_reads_the_masked_map(kind: type[nn.Conv2d]) -> None:
    conv, x = kind(5, 3, 1, bias=False), torch.randn(2, 5, 4, 4)
    mask = torch.tensor([1, 1, 0.75, 0.2, 0])
    expected = conv(x * mask[:, None, None])
    torch.testing.assert_close(read_masked(conv, x, mask), expected)


def test_members_scale_what_hangs_on_them() -> None:
    space = SPACES[0]
    layout = WeightLayout(space.forest)
    weights = torch.rand(space.forest.offsets[-1])
    read, forest = layout.read(weights), space.forest
    i = forest.index["normal.1.2"]
    member = weights[forest.offsets[forest.index["normal.1"]] + 2]
    row = weights[forest.offsets[i] : forest.offsets[i + 1]]
    torch.testing.assert_close(torch.stack(read.rows["normal.1.2"]), row * member)
    assert read.scale["normal.1.2"] == member
