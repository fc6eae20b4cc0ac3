"""The course of a search for TensorBoard (``pip install 'latbench[tensorboard]'``).

View it with ``tensorboard --logdir LOG_DIR``.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from latbench.errors import UsageError
from latbench.results import SearchEpoch
from latbench.search.relaxations.relaxation import Relaxation
from latbench.search.relaxations.tables import named_odds

Log = Callable[[SearchEpoch, Relaxation], None]


@contextlib.contextmanager
def tensorboard_log(log_dir: Path | str | None, first: int = 0) -> Iterator[Log]:
    """Yields a function that logs an epoch; it does nothing without a ``log_dir``.

    It logs the epoch's record and the odds of every option as scalars, the architecture parameters
    and all odds together as histograms.

    Epochs from ``first`` on that an earlier run left there are taken out. Raises UsageError when
    TensorBoard is not installed.
    """
    if log_dir is None:
        yield lambda epoch, relaxation: None
        return
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise UsageError(
            "logs for TensorBoard need it; run: pip install 'latbench[tensorboard]', or leave "
            "log_dir out"
        ) from error
    with SummaryWriter(str(log_dir), purge_step=first) as writer:

        def log(epoch: SearchEpoch, relaxation: Relaxation) -> None:
            for name, value in dataclasses.asdict(epoch).items():
                # None and NaN: what a search without a target, or a penalty, does not have.
                if name != "epoch" and isinstance(value, float) and value == value:
                    writer.add_scalar(f"search/{name}", value, epoch.epoch)
            for name, tensor in relaxation.named_parameters():
                values = tensor.detach().cpu()
                writer.add_histogram(f"parameters/{name}", values, epoch.epoch)
            odds = relaxation.probabilities()
            if odds:
                together = torch.cat(list(odds.values())).cpu()
                writer.add_histogram("probabilities", together, epoch.epoch)
            for name, of in named_odds(relaxation.space.forest, odds).items():
                for option, p in of.items():
                    writer.add_scalar(f"odds/{name}/{option}", p, epoch.epoch)
            for name, sets in relaxation.set_probabilities().items():
                writer.add_histogram(f"sets/{name}", torch.tensor(list(sets.values())), epoch.epoch)
            writer.flush()

        yield log
