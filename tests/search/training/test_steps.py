from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch
from torch import nn

from latbench.search.training.steps import LAYOUT, prepare, set_learning_rate, sgd


@pytest.mark.parametrize("decayed", [True, False])
def test_biases_and_scales_decay_where_that_is_asked_for(decayed: bool) -> None:
    """By steps without a gradient, at half of the first learning rate."""
    module = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    for parameter in module.parameters():
        nn.init.constant_(parameter, 2.0)
        parameter.grad = torch.zeros_like(parameter)
    optimizer = sgd(module, 0.2, 0.0, 0.5, decay_vectors=decayed)
    set_learning_rate(optimizer, 0.1)
    optimizer.step()
    for parameter in module.parameters():
        left = 1.9 if decayed or parameter.ndim > 1 else 2.0
        torch.testing.assert_close(parameter.detach(), torch.full_like(parameter, left))


def test_prepared_convolutions_compute_the_same() -> None:
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Conv2d(3, 4, 1, stride=2, bias=False), nn.Conv2d(4, 4, 3, stride=2, padding=1),
        nn.Conv2d(4, 2, 1, stride=(1, 3)), nn.Conv2d(2, 2, 1, padding=1),
    )  # fmt: skip
    images = torch.randn(5, 3, 15, 16)
    expected = module(images)
    names = list(module.state_dict())
    prepare(module, "cpu")
    prepare(module, "cpu")  # again changes nothing
    torch.testing.assert_close(module(images.contiguous(memory_format=LAYOUT)), expected)
    assert list(module.state_dict()) == names


# Unprepared, this ends in "double free or corruption" (torch 2.13): two threads, few channels,
# batches of changing size.
STEPS = """
import torch
from latbench.search.training.steps import LAYOUT, prepare
torch.set_num_threads(2)
for step in range(60):
    conv = torch.nn.Conv2d(4, 4, 1, stride=2, bias=False)
    prepare(conv, "cpu")
    images = torch.randn(8 + step, 4, 16, 16).contiguous(memory_format=LAYOUT).requires_grad_()
    conv(images).sum().backward()
print("done")
"""


def test_several_threads_do_not_corrupt_memory() -> None:
    # Threads that spin while they wait would take minutes on a machine with other work to do.
    environment = {**os.environ, "OMP_WAIT_POLICY": "passive"}
    done = subprocess.run(
        [sys.executable, "-c", STEPS], capture_output=True, text=True, env=environment
    )
    assert done.stdout == "done\n", done.stderr
