"""An experiment on the fake backend and a tiny supernet: ``from experiment_file import``."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Recorder:
    """Bars that remember which were drawn."""

    def __init__(self) -> None:
        self.names: list[str] = []

    @contextmanager
    def bar(self, description: str) -> Iterator[Callable[[int, int, str], None]]:
        self.names.append(description)

        def step(done: int, total: int, note: str = "") -> None:
            assert 0 <= done <= total

        yield step


FAKE = "latbench.testing.fake:CostModelBackend"
EXPERIMENT = f"""
title = "a test"
[space]
name = "darts"
channels = 4
cells = 3
resolution = 8
in_channels = 1
[[backends]]
name = "{FAKE}"
noise = 0.01
[measure]
n = 24
retest = 0.25
[predict]
compare = ["ridge-counts", "ridge-cost"]
penalty = "ridge-counts"
[search]
backend = "{FAKE}"
penalty_weights = [0.0, 5.0]
limit = 64
[search.settings]
epochs = 2
batch = 32
channels = 2
cells = 3
alpha_learning_rate = 0.1
[train]
epochs = 1
batch = 32
"""
