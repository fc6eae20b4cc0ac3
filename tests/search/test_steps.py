from __future__ import annotations

import os
import subprocess
import sys

import torch
from torch import nn

from latbench.search.steps import LAYOUT, prepare


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


# With two threads this ended in "double free or corruption" within a few batches: images of one
# channel, few channels, batches of changing size.
SEARCH = """
import sys, tempfile
from pathlib import Path
import torch
from latbench.search.config import SearchConfig, TrainConfig
from latbench.search.data import load_images
from latbench.search.loop import search
from latbench.search.training import train
from latbench.spaces import darts
torch.set_num_threads(2)
space = darts(channels=4, cells=3, resolution=16, in_channels=1)
data = load_images("digits", resolution=16, limit=200)
config = SearchConfig(epochs=1, batch=32, channels=2, cells=3)
with tempfile.TemporaryDirectory() as folder:
    outcome = search(space, data, config, None, directory=Path(folder))
train(space.build(outcome.architecture), data, TrainConfig(epochs=1, batch=32))
print("done")
"""


def test_several_threads_do_not_corrupt_memory() -> None:
    # Threads that spin while they wait would take minutes on a machine with other work to do.
    environment = {**os.environ, "OMP_WAIT_POLICY": "passive"}
    done = subprocess.run(
        [sys.executable, "-c", SEARCH], capture_output=True, text=True, env=environment
    )
    assert done.stdout == "done\n", done.stderr
