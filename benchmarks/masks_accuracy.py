"""Widths and resolutions beside operations alone, at one measured latency.

One residual network of three stages for CIFAR. In both spaces every block chooses an operation (two
3x3 convolutions, an inverted residual, or nothing where the shape stays); in one of them every
stage chooses a width and the images a resolution besides. A sample of each is measured on ONNX
Runtime and predicted by ``ridge-layers``. Both are searched by ``dmasking`` (``fbnet`` where there
are no widths, the same without masks) for half of the latency that the largest network has. What is
found is trained from the search's seed, and measured in the end, side by side.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from harness import Figure, figure
from methods_statistics import compared, told
from published import data_folder

from latbench.api import measure
from latbench.models import Model
from latbench.networks.blocks import RELU, classifier
from latbench.networks.mobile_blocks import conv_bn_act, inverted_residual
from latbench.networks.ops import Elementwise, Shape
from latbench.predictors import make_predictor
from latbench.predictors.model import LatencyModel
from latbench.search.config import SearchConfig, TrainConfig
from latbench.search.images.images import ImageData, load_images
from latbench.search.loop import search
from latbench.search.penalty import LatencyPenalty
from latbench.search.training.train import train
from latbench.spaces.assembly import Assembler, Step
from latbench.spaces.base import SearchSpace
from latbench.spaces.open_number import of_each
from latbench.spaces.space_config import SpaceConfig
from latbench.spaces.variables import One

SHARE, LEAST = 0.5, 70.0  # of the largest network's latency; % of the test images
ALONE, BOTH = "operations alone", "widths and resolutions"
TRAIN = TrainConfig(epochs=30, batch=64, learning_rate=0.1, weight_decay=5e-4, label_smoothing=0.1)
SEARCH = SearchConfig(
    epochs=8, warmup_epochs=1, batch=64, learning_rate=0.1, weight_decay=1e-4,
    alpha_learning_rate=0.02, alpha_weight_decay=5e-4,
)  # fmt: skip
METHODS = {ALONE: "fbnet(decay=0.8)", BOTH: "dmasking(decay=0.8)"}


@dataclass(frozen=True)
class ResidualConfig(SpaceConfig):
    """``widths`` are the shares (%) of each stage's channels, ``sizes`` the resolutions."""

    channels: int = 24
    blocks: int = 2
    widths: tuple[int, ...] = (100,)
    sizes: tuple[int, ...] = (24,)


class Residuals(SearchSpace[ResidualConfig]):
    """Three stages of blocks, the later two of stride 2."""

    name = "residuals"

    def __init__(self, config: ResidualConfig | None = None) -> None:
        self.config = config or ResidualConfig()

    def variables(self) -> Iterator[One]:
        c = self.config
        yield One("resolution", tuple(map(str, c.sizes)), kind="resolution")
        for i in range(3):
            widths = (c.channels * 2**i * share // 100 for share in c.widths)
            yield One(f"{i}.width", tuple(map(str, widths)), kind="width")
            for j in range(c.blocks):
                yield One(f"{i}.{j}", ("basic", "mobile", *(["skip"] if j else [])))

    def input_shape(self, number: Callable[[str], int]) -> Shape:
        size = number("resolution")
        return (self.config.batch, self.config.in_channels, size, size)

    def assemble(self, b: Assembler) -> int:
        x = conv_bn_act(b, b.input, self.config.channels, 3)
        for i in range(3):
            width = b.number(f"{i}.width")
            for j in range(self.config.blocks):
                stride = 2 if i and not j else 1
                options: dict[str, Step] = {
                    "basic": partial(_basic, width, stride, j > 0),
                    "mobile": partial(_mobile, width, stride, j > 0),
                }
                if j:
                    options["skip"] = lambda _, x: x
                x = b.one(f"{i}.{j}", options, x)
        return classifier(b, x, self.config.classes)


def _basic(width: int, stride: int, residual: bool, b: Assembler, x: int) -> int:
    y = conv_bn_act(b, conv_bn_act(b, x, width, 3, stride), width, 3, activation=None)
    return b.add(RELU, b.add(Elementwise("add"), x, y) if residual else y)


def _mobile(width: int, stride: int, residual: bool, b: Assembler, x: int) -> int:
    inner = of_each(lambda c: 3 * c, b.shape(x)[1])
    return inverted_residual(b, x, width, 3, stride, inner, RELU, residual=residual)


def spaces(quick: bool) -> dict[str, Residuals]:
    """Both spaces, whose largest network is one."""
    small: dict[str, Any] = {"channels": 8, "blocks": 2} if quick else {}
    side = 8 if quick else 24
    sizes = (side // 2, 3 * side // 4, side)
    return {
        ALONE: Residuals(ResidualConfig(**small, sizes=(side,), resolution=side)),
        BOTH: Residuals(
            ResidualConfig(**small, sizes=sizes, resolution=side, widths=(25, 50, 75, 100))
        ),
    }


def _largest(space: Residuals) -> Any:
    text = {v.name: v.options[-1] for v in space.forest.variables}
    text |= {name: "basic" for name in text if name[-1].isdigit()}
    return space.parse(";".join(f"{k}={v}" for k, v in text.items()))


def figures(out: Path, seeds: int, quick: bool) -> tuple[list[Figure], float]:
    """Accuracies and latencies of what is found in both spaces."""
    out.mkdir(parents=True, exist_ok=True)
    # The processes that time networks import the space from here.
    os.environ["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    both = spaces(quick)
    known, floors = {}, list[float]()
    for name, space in both.items():
        path = out / f"{name.replace(' ', '-')}.sqlite"
        with measure(space, "onnxruntime", n=24 if quick else 150, store=path) as store:
            data = store.dataset()
        known[name] = LatencyModel.fit(data, make_predictor("ridge-layers"))
        floors.append(data.noise_floor or 0.0)
    limit = SHARE * float(known[ALONE].predict([_largest(both[ALONE])])[0])
    found: dict[str, list[tuple[str, float]]] = {}
    for seed in range(seeds):  # so that a run that is stopped has as much of both
        for name, space in both.items():
            one = _found(space, known[name], limit, name, seed, out, quick)
            found.setdefault(name, []).append(one)
    networks = {
        f"{name} {seed}": both[name].build(both[name].parse(text))
        for name, of in found.items() for seed, (text, _) in enumerate(of)
    }  # fmt: skip
    models = [Model(name, network) for name, network in networks.items()]
    with measure(both[ALONE], models=models, store=out / "found.sqlite") as store:  # side by side
        place = store.find_set().id
        values = {model.name: store.value(place, str(model)) for model in models}
    if failed := [name for name, value in values.items() if value is None]:
        raise SystemExit(f"not measured: {', '.join(failed)}; see {out / 'found.sqlite'}")
    latency = {name: value for name, value in values.items() if value is not None}
    shown, accuracy = list[Figure](), dict[str, npt.NDArray[np.float64]]()
    for name, of in found.items():
        accuracy[name] = np.array([a for _, a in of])
        each = [f"{name} {seed}" for seed in range(len(of))]
        over = np.array([latency[one] / limit for one in each])
        macs = np.array([networks[one].macs / 1e6 for one in each])
        shown += told(f"{name}: accuracy", accuracy[name], "%")
        shown += told(f"{name}: measured latency over the limit", over, "x")
        shown += told(f"{name}: multiply-accumulates", macs, "M")
    shown += compared(accuracy, ALONE, "% points")
    return shown, max(floors)


def reference_figure(out: Path, quick: bool) -> Figure:
    """The accuracy of the largest network, which keeps no limit, trained as the others are."""
    space = spaces(quick)[ALONE]
    network, training = space.build(_largest(space)), _training(0, quick)
    data = _images(space.config.resolution, quick)
    done = train(network, data, training, directory=out)
    label = "the largest network, no limit: accuracy, the scale that is asked for"
    return figure(label, 100 * done.test_accuracy, "%", 1, at_least=LEAST)


def _images(side: int, quick: bool) -> ImageData:
    return load_images(str(data_folder() / "cifar10_10k_2k.npz"), side, 256 if quick else None)


def _training(seed: int, quick: bool) -> TrainConfig:
    return replace(TRAIN, seed=seed, epochs=1 if quick else TRAIN.epochs)


def _found(
    space: Residuals, model: LatencyModel, limit: float, name: str, seed: int, out: Path,
    quick: bool,
) -> tuple[str, float]:  # fmt: skip
    """What a search finds from a seed, and its accuracy (%) when it was trained; kept in a file."""
    folder = out / f"{name.replace(' ', '-')}-{seed}"
    kept = folder / "found.json"
    if kept.exists():
        text, accuracy = json.loads(kept.read_text())
        return text, accuracy
    data = _images(space.config.resolution, quick)
    config = replace(SEARCH, method=METHODS[name], seed=seed, target=limit)
    config = replace(config, epochs=2) if quick else config
    architecture = search(
        space, data, config, LatencyPenalty.of(model, config), directory=folder
    ).architecture
    network = space.build(architecture)
    data = data.at(network.input_shape[2])
    done = train(network, data, _training(seed, quick), directory=folder)
    kept.write_text(json.dumps([str(architecture), 100 * done.test_accuracy]))
    return str(architecture), 100 * done.test_accuracy
