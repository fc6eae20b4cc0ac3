"""What ``hurricane.py`` trains and chooses, each in a process of its own.

The body is that of the space ``operators`` for images of 24 pixels: eight layers in three stages.
Supernets are trained at one learning rate, for so many epochs, or, to compare stages, until they
have settled: the mean held-out accuracy of 64 fixed random paths has risen by less than half a
point in the last fifth of the epochs, after 25 epochs at least.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from published import data_folder

from latbench.predictors.model import LatencyModel
from latbench.search.baselines.one_shot import one_shot_score
from latbench.search.baselines.searches import Score, evolution
from latbench.search.config import CHECKPOINT, SearchConfig, TrainConfig
from latbench.search.images.images import ImageData, load_images, search_halves
from latbench.search.loop import search
from latbench.search.penalty import LatencyPenalty
from latbench.search.relaxations.single_path import SinglePathRelaxation
from latbench.search.search_state import read_supernet
from latbench.search.supernets.searchable import make_supernet
from latbench.search.training.steps import prepare
from latbench.search.training.train import train
from latbench.spaces import AnySpace, make_space, parse_space

BODY: Mapping[str, Any] = {
    "widths": (16, 24, 48, 96, 256), "blocks": (2, 3, 3), "stem_stride": 1, "resolution": 24,
    "classes": 10,
}  # fmt: skip
FEW_OPERATORS = ("sep3+mb3e1+mb5e6+shuffle3",)
SMALL: Mapping[str, Any] = BODY | {
    "widths": (8, 16, 24, 32), "blocks": (1, 2), "resolution": 10, "pools": FEW_OPERATORS,
}  # fmt: skip
REFERENCE = "mb5e6"  # everywhere, without a limit
TRAIN = TrainConfig(epochs=16, batch=64, learning_rate=0.1, weight_decay=5e-4, label_smoothing=0.1)
RANKED_EPOCHS = 8  # of each network that the supernet's ranking is judged by
# A fifth of 25 epochs has five; with two of ten a training of 13 had settled by chance.
SETTLED = {"settled": 0.5, "least_epochs": 25}
MOST = 250  # epochs; with 70 the later layers alone had not settled
SUPERNET = SearchConfig(
    epochs=60, batch=32, learning_rate=0.05, final_learning_rate=0.05, weight_decay=4e-5
)
EVOLUTION = {"budget": 200, "population": 50, "images": 500, "calibration": 500, "crossover": 0.5}
FEW = {"budget": 4, "population": 2, "images": 16, "calibration": 16, "crossover": 0.5}


def body(quick: bool) -> AnySpace:
    """The space of all operators."""
    return make_space("operators", dict(SMALL if quick else BODY))


def images(space: AnySpace, quick: bool) -> ImageData:
    """The images that all jobs have."""
    path = str(data_folder() / "cifar10_10k_2k.npz")
    return load_images(path, space.config.resolution, 256 if quick else None)


def method(name: str, settled: bool, quick: bool, stages: int = 1) -> str:
    """The text of a method of single paths; all stages together score as many networks as one."""
    settings = dict(FEW if quick else EVOLUTION) | (SETTLED if settled else {})
    settings["budget"] = int(settings["budget"]) // stages
    return f"{name}({', '.join(f'{k}={v}' for k, v in settings.items())})"


def write_job(folder: Path, kind: str, space: Path, **about: Any) -> Path:
    """Writes a job into its folder, with all settings; stops where the folder has another one."""
    folder.mkdir(parents=True, exist_ok=True)
    settings = [asdict(TRAIN), asdict(SUPERNET), EVOLUTION, FEW, SETTLED]
    job = {"kind": kind, "space": str(space), "settings": settings, **about}
    text, path = json.dumps(job), folder / "job.json"
    if path.exists() and path.read_text() != text:
        raise SystemExit(f"{folder} is of other settings; delete it, or give another --out")
    path.write_text(text)
    return folder


def result(folder: Path) -> Any:
    """What a job that is done found."""
    return json.loads((folder / "result.json").read_text())


def run_job(folder: Path, quick: bool) -> None:
    """Runs the job of a folder, unless it is done."""
    if (folder / "result.json").exists():
        return
    job = json.loads((folder / "job.json").read_text())
    kinds = {"supernet": _supernet, "train": _train, "choose": _choose, "scores": _scores}
    found = kinds[job["kind"]](job, parse_space(job["space"]), folder, quick)
    (folder / "result.json").write_text(json.dumps(found))


def _config(job: Mapping[str, Any], quick: bool) -> SearchConfig:
    epochs = job.get("epochs") or (12 if quick else SUPERNET.epochs)
    return replace(
        SUPERNET, method=job["method"], seed=job["seed"], target=job["limit"], epochs=epochs,
        batch=16 if quick else SUPERNET.batch,
    )  # fmt: skip


def _supernet(job: Mapping[str, Any], space: AnySpace, folder: Path, quick: bool) -> dict[str, Any]:
    """Trains a supernet, in one stage or two, and chooses by it."""
    data, config = images(space, quick), _config(job, quick)
    penalty = LatencyPenalty.of(LatencyModel.load(job["model"]), config)
    found = search(space, data, config, penalty, directory=folder)
    half, _ = search_halves(len(data.train_labels), config.seed)
    epochs = len(found.history)
    return {
        "architecture": str(found.architecture), "epochs": epochs, "images": epochs * len(half),
        "at most": config.epochs, "accuracies": [e.validation_accuracy for e in found.history],
    }  # fmt: skip


def _train(job: Mapping[str, Any], space: AnySpace, folder: Path, quick: bool) -> float:
    """Trains a network from fresh weights; its accuracy (%)."""
    epochs = 1 if quick else job.get("epochs", TRAIN.epochs)
    config = replace(TRAIN, seed=job["seed"], epochs=epochs)
    network = space.build(space.parse(job["architecture"]))
    return 100 * train(network, images(space, quick), config, directory=folder).test_accuracy


def _score(job: Mapping[str, Any], space: AnySpace, quick: bool, calibrated: bool) -> Score:
    """The accuracy of paths of a trained supernet."""
    folder, data = Path(job["supernet"]), images(space, quick)
    trained = json.loads((folder / "job.json").read_text())
    supernet = make_supernet(space, _config(trained, quick), SinglePathRelaxation(space))
    supernet.load_state_dict(read_supernet(folder / CHECKPOINT))
    prepare(supernet, "cpu")
    half, held = search_halves(len(data.train_labels), trained["seed"])
    n = FEW if quick else EVOLUTION
    over = half[: int(n["calibration"])] if calibrated else None
    return one_shot_score(supernet, space, data, held[: int(n["images"])], calibration=over)


def _choose(job: Mapping[str, Any], space: AnySpace, folder: Path, quick: bool) -> str:
    """The architecture of the best score that a runtime's model lets pass."""
    model, n = LatencyModel.load(job["model"]), FEW if quick else EVOLUTION
    found = evolution(
        space, model.predict, _score(job, space, quick, calibrated=True), limit=job["limit"],
        budget=int(n["budget"]), population=int(n["population"]), seed=job["seed"],
        crossover=n["crossover"],
    )  # fmt: skip
    return str(found.best.architecture)


def _scores(
    job: Mapping[str, Any], space: AnySpace, folder: Path, quick: bool
) -> dict[str, Sequence[float]]:
    """The scores of architectures, batch norms calibrated for each or as of the batch."""
    every = [space.parse(text) for text in job["architectures"]]
    return {
        name: [_score_of(one) for one in every]
        for name, _score_of in (
            ("calibrated", _score(job, space, quick, calibrated=True)),
            ("not calibrated", _score(job, space, quick, calibrated=False)),
        )
    }
