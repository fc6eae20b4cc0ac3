"""Maps of several sizes on one grid."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from own_spaces import small_blocks
from torch import Generator, Tensor

from latbench.search.supernets.mixed import PassWeights
from latbench.search.supernets.resolutions import Sizes, _scattered, _subsampled
from latbench.search.supernets.supernet_module import Supernet, mix_all

SPACE = small_blocks(resolutions=(17, 24, 32), in_channels=1, classes=10)
SIZES = Sizes(SPACE.supernet(), "resolution")


def supernet() -> Supernet:
    torch.manual_seed(0)
    return Supernet(SPACE.supernet(search=False), SPACE.forest, mix_all)


def weights(odds: Tensor) -> Tensor:
    """Those of the largest network, with these odds of the resolutions."""
    biggest = SPACE.columns.weights([SPACE.reference().code])[0]
    forest, out = SPACE.forest, torch.from_numpy(biggest)
    i = forest.index["resolution"]
    return torch.cat([out[: forest.offsets[i]], odds, out[forest.offsets[i + 1] :]])


@pytest.mark.parametrize(("small", "large"), [(1, 1), (1, 5), (3, 4), (5, 8), (9, 16), (7, 21)])
def test_a_pixel_goes_back_to_where_it_came_from(small: int, large: int) -> None:
    x = torch.rand(2, 3, large, large + 1) + 1
    read = _subsampled(x, (2, 3, small, small))
    assert torch.equal(read, F.interpolate(x, size=(small, small), mode="nearest"))
    back = _scattered(read, x.shape)
    assert torch.equal(_subsampled(back, read.shape), read)
    assert (back == 0).sum() == back.numel() - read.numel()
    assert torch.equal(back[back != 0], x[back != 0])


def test_a_resolution_alone_is_that_resolution() -> None:
    net, x = supernet().eval(), torch.randn(2, 1, 32, 32, generator=Generator().manual_seed(1))
    for k, size in enumerate((17, 24, 32)):
        alone = net(x, weights(torch.eye(3)[k]))
        image = F.interpolate(x, size=(size, size), mode="bilinear", antialias=True)
        read = net.layout.read(weights(torch.eye(3)[k]))
        assert torch.equal(alone, net.body(image if size < 32 else x, read))
        # With others of hardly any weight it is nearly so.
        nearly = torch.full((3,), 1e-7)
        nearly[k] = 1
        torch.testing.assert_close(net(x, weights(nearly)), alone, rtol=1e-4, atol=1e-4)


def test_maps_are_mixed_where_their_size_changes() -> None:
    """By hand for one layer: the mean of the scattered maps, read again by every size."""
    changed = sorted(SIZES._changes)
    shapes = [SPACE.supernet().layers[i].shape for i in range(len(SPACE.supernet().layers))]
    halved = [int(shapes[i][2]) for i in changed]
    assert halved == sorted(halved, reverse=True)
    assert len(set(halved)) == len(halved) > 1
    odds = torch.tensor([0.2, 0.3, 0.5])
    read = PassWeights({"resolution": odds.unbind()}, {"resolution": [0, 1, 2]}, {})
    maps = [torch.rand(1, 2, n, n) for n in (9, 12, 16)]
    mixed = SIZES.mixed(changed[0], maps, read)
    grid = torch.zeros(1, 2, 16, 16)
    for p, one in zip(odds, maps, strict=True):
        for i in range(one.shape[2]):
            for j in range(one.shape[3]):
                n = one.shape[2]
                grid[:, :, i * 16 // n, j * 16 // n] += p * one[:, :, i, j]
    for one in mixed:
        n = one.shape[2]
        places = torch.arange(n) * 16 // n
        torch.testing.assert_close(one, grid[:, :, places][:, :, :, places])
    unchanged = next(i for i in range(1, 9) if i not in SIZES._changes)
    assert all(a is b for a, b in zip(SIZES.mixed(unchanged, maps, read), maps, strict=True))


def test_the_odds_of_resolutions_have_a_gradient() -> None:
    net = supernet()
    odds = torch.tensor([0.2, 0.3, 0.5], requires_grad=True)
    x = torch.randn(4, 1, 32, 32, generator=Generator().manual_seed(1))
    net(x, weights(odds)).square().sum().backward()
    assert odds.grad is not None
    assert (odds.grad != 0).all()
