from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from latbench.errors import UsageError
from latbench.search.baselines.one_shot import one_shot_score
from latbench.search.images.images import ImageData
from latbench.search.supernets.supernet_module import Supernet, mix_all
from latbench.spaces import darts

SPACE = darts(channels=4, cells=3, classes=10, resolution=8, in_channels=1)


def supernet(seed: int = 0) -> Supernet:
    torch.manual_seed(seed)
    return Supernet(SPACE.supernet(), SPACE.forest, mix_all)


def test_the_score_is_the_accuracy_with_those_weights_and_each_batchs_statistics(
    digits: ImageData,
) -> None:
    net, architecture = supernet(), SPACE.reference()
    indices = torch.arange(10, 50)
    weights = torch.from_numpy(SPACE.columns.weights([architecture.code])[0])
    with torch.no_grad():
        logits = supernet().train()(digits.train_images[indices], weights)
    expected = (logits.argmax(1) == digits.train_labels[indices]).float().mean().item()
    score = one_shot_score(net, SPACE, digits, indices, batch=64)
    assert score(architecture) == pytest.approx(expected)
    assert score(architecture) == score(architecture)


def test_the_supernet_is_left_alone_and_later_training_does_not_reach_the_score(
    digits: ImageData,
) -> None:
    net = supernet().eval()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    score = one_shot_score(net, SPACE, digits, torch.arange(40), batch=20)
    first = [score(SPACE.sample(0, i)) for i in range(4)]
    for name, value in net.state_dict().items():
        torch.testing.assert_close(value, before[name])
    assert not net.training
    assert all(p.requires_grad for p in net.parameters())
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.zero_()
    assert [score(SPACE.sample(0, i)) for i in range(4)] == first


class _Batches(nn.Module):
    """Records the batches; calls every image a nought."""

    def __init__(self) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(1))
        self.sizes: list[int] = []

    def forward(self, images: Tensor, weights: Tensor) -> Tensor:
        self.sizes.append(len(images))
        return -torch.arange(10.0).repeat(len(images), 1)

    def __deepcopy__(self, memo: object) -> _Batches:
        return self


def test_batches_are_of_near_equal_size(digits: ImageData) -> None:
    net = _Batches()
    indices = torch.arange(51)
    accuracy = one_shot_score(net, SPACE, digits, indices, batch=25)(SPACE.reference())
    assert net.sizes == [17, 17, 17]
    assert accuracy == int((digits.train_labels[indices] == 0).sum()) / 51


def test_a_single_image_is_refused(digits: ImageData) -> None:
    with pytest.raises(UsageError, match="2 images or more"):
        one_shot_score(supernet(), SPACE, digits, torch.arange(1))
    with pytest.raises(UsageError, match="batches of 2"):
        one_shot_score(supernet(), SPACE, digits, torch.arange(8), batch=1)
