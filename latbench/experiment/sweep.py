"""A sweep: searches for one or more goals, as plain values that a process of its own can read.

``latbench search`` and an experiment's ``[search]`` both make one and run it in the same way. Its
folder:

    searches.json                      the sweep
    <backends>/<goal>/                 of each goal: checkpoints, result.json when it is done, and
                                       model-<seed>, what was trained with its weights
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from latbench.experiment.goals import Goal
from latbench.experiment.search_task import Priced, SearchTask, load_data
from latbench.experiment.settings import Combine
from latbench.files import folder_name, read_json, write_json
from latbench.search.config import SearchConfig, TrainConfig
from latbench.text import JOINED
from latbench.validation import checked

SWEEP_FILE = "searches.json"


@dataclass(frozen=True)
class FittedModel:
    """The folders of a backend's predictor and of its judge ("" for none), and the cost, in its
    metric's unit, that λ and shares such as 80 % are relative to."""

    model: str
    reference: float
    judge: str = ""


@dataclass(frozen=True)
class Sweep:
    """A sweep of searches: what is searched for, with what and how.

    ``models`` are by backend, and hold every backend that a goal names. ``data`` is an image source
    of ``latbench.search.images.images``, of which ``limit`` images are taken (0: all). ``training``
    None leaves the accuracy out. With ``renew``, a goal whose settings have changed since it was
    begun is begun anew; without, its checkpoint is refused. The rest is as in ``SearchTask``.
    """

    models: dict[str, FittedModel]
    goals: tuple[Goal, ...]
    data: str = "digits"
    limit: int = 0
    settings: SearchConfig = dataclasses.field(default_factory=SearchConfig)
    training: TrainConfig | None = None
    seeds: int = 1
    combine: Combine = "worst"
    deviations: float = 0.0
    renew: bool = False

    def task(self) -> SearchTask:
        """Loads the images and the predictors. Raises UsageError or ParseError when they cannot be
        read or do not fit together."""
        from latbench.predictors.model import LatencyModel

        priced = {
            name: Priced(
                LatencyModel.load(Path(fitted.model)),
                fitted.reference,
                LatencyModel.load(Path(fitted.judge)) if fitted.judge else None,
            )
            for name, fitted in self.models.items()
        }
        space = next(iter(priced.values())).model.space
        return SearchTask(
            space, load_data(self.data, space, self.limit), priced, self.settings, self.training,
            self.seeds, self.combine, self.deviations,
        )  # fmt: skip

    def write(self, folder: Path) -> None:
        """Writes ``searches.json``."""
        write_json(folder / SWEEP_FILE, dataclasses.asdict(self))

    @classmethod
    def read(cls, folder: Path) -> Sweep:
        """Reads the sweep of a folder. Raises ParseError or UsageError when it is damaged."""
        return checked(cls, read_json(folder / SWEEP_FILE), str(folder / SWEEP_FILE))


def result_path(folder: Path, goal: Goal) -> Path:
    """Returns the path of a goal's result in a sweep's folder."""
    return folder / folder_name(JOINED.join(goal.backends)) / goal.name / "result.json"
