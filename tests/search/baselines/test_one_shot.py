from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from latbench.errors import UsageError
from latbench.search.baselines.one_shot import one_shot_score
from latbench.search.images.images import ImageData
from latbench.search.supernets.inherited import inherited
from latbench.search.supernets.supernet_module import Supernet, mix_all
from latbench.spaces import darts, make_space

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


@pytest.mark.parametrize("name", ["spos", "nasbench201", "nats-size"])
def test_calibrated_norms_are_those_of_the_network_alone(name: str, digits: ImageData) -> None:
    """The derived network with the supernet's weights, whose norms saw the same batches."""
    space = make_space(name, {**make_space(name).small, "in_channels": 1, "resolution": 24})
    torch.manual_seed(1)
    net = Supernet(space.supernet(search=False), space.forest, mix_all)
    images = F.interpolate(torch.as_tensor(digits.train_images[torch.arange(64)]), (24, 24))
    data = replace(digits, train_images=images, train_labels=digits.train_labels[:64])
    over, judged = torch.arange(32), torch.arange(32, 64)
    score = one_shot_score(net, space, data, judged, batch=16, calibration=over)
    found = [score(space.sample(0, i)) for i in (0, 1, 0)]
    assert found[0] == found[2]  # nothing is left of the one before
    for i in (0, 1):
        alone = inherited(net, space, space.sample(0, i))
        for norm in (m for m in alone.modules() if isinstance(m, nn.BatchNorm2d)):
            norm.reset_running_stats()
            norm.momentum = None
        with torch.no_grad():
            for part in torch.split(over, 16):
                alone.train()(images[part])
            logits = alone.eval()(images[judged])
        expected = (logits.argmax(1) == data.train_labels[judged]).float().mean().item()
        assert found[i] == pytest.approx(expected)


def test_norms_without_statistics_are_calibrated_as_well(digits: ImageData) -> None:
    """Those of a search network: their logits no longer depend on what else is in a batch."""
    space = make_space("nats-size", {**make_space("nats-size").small, "in_channels": 1})
    net = Supernet(space.supernet(), space.forest, mix_all)
    norms = [m for m in net.modules() if isinstance(m, nn.BatchNorm2d)]
    assert any(norm.running_mean is None for norm in norms)
    images = F.interpolate(torch.as_tensor(digits.train_images[torch.arange(64)]), (18, 18))
    data = replace(digits, train_images=images, train_labels=digits.train_labels[:64])
    over, judged, a = torch.arange(32), torch.arange(32, 64), space.reference()
    scores = [
        one_shot_score(net, space, data, judged, batch=batch, calibration=over)(a)
        for batch in (32, 33)
    ]
    assert scores[0] == scores[1]
    assert all(norm.running_mean is None for norm in norms if not norm.track_running_stats)
