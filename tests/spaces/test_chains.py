"""What every space of chains must keep, found by its class: a new one is tried without a change."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
import pytest
import torch

from latbench.errors import ParseError, UsageError
from latbench.export.onnx import INPUT, OUTPUT, to_onnx
from latbench.export.parity import parity
from latbench.networks.weights import make_input
from latbench.predictors import make_predictor
from latbench.predictors.model import LatencyModel
from latbench.search import SearchConfig, search
from latbench.search.baselines.searches import evolution
from latbench.search.images.images import ImageData
from latbench.spaces import SPACES, AnySpace, make_space
from latbench.spaces.chains.chain import ChainSpace
from latbench.spaces.drawing import ChainGraph
from latbench.store.dataset import LatencyDataset
from latbench.testing import check_space

CHAINS = tuple(name for name in SPACES if isinstance(make_space(name), ChainSpace))
each_chain = pytest.mark.parametrize("name", CHAINS)
# Published networks of other settings than the defaults.
ELSEWHERE: dict[str, dict[str, Any]] = {"resnet50": {"block": "bottleneck"},
             "resnet20_cifar": {"stem": "cifar", "widths": (32, 64, 128)}}  # fmt: skip
# A resolution is not mixed: the methods that run several options in one pass refuse it.
MIXING = ("darts", "fbnet", "proxylessnas")
METHODS = ("gdas", "single-path(budget=6, population=3, images=8)", *MIXING)


@cache
def small(name: str, **changed: Any) -> AnySpace:
    """A space at its small settings, made once."""
    return make_space(name, dict(make_space(name).small) | changed)


def resizes(name: str) -> bool:
    return any(v.kind == "resolution" for v in small(name).forest.variables)


def test_all_chains_are_found() -> None:
    assert set(CHAINS) >= {
        "fbnet", "fbnetv2", "nats-size", "ofa", "proxyless", "resnet", "spos",
    }  # fmt: skip
    assert set(SPACES) - set(CHAINS) == {"darts", "nasbench201"}


@each_chain
def test_it_keeps_what_every_space_must(name: str) -> None:
    check_space(small(name), samples=8)


@each_chain
def test_its_drawing_has_the_blocks_of_the_network(name: str) -> None:
    space = small(name)
    for i in range(5):
        architecture = space.sample(2, i)
        (graph,) = space.drawing(architecture)
        assert isinstance(graph, ChainGraph)
        steps, network = graph.steps, space.build(architecture)
        names = [step.name for step in steps]
        assert len(set(names)) == len(names)
        assert (names[0], names[-1]) == ("input", "output")
        assert (steps[0].channels, steps[0].size) == network.input_shape[1:3]
        assert steps[-1].channels == network.output_shape[1]
        assert all(step.channels > 0 and step.size > 0 for step in steps)
        sizes = [step.size for step in steps]
        assert sizes == sorted(sizes, reverse=True)
        # Every block of which something was chosen is a step, and no step is anything else.
        values = architecture.values()
        chosen = {block for key in values if (block := _block_of(key)) is not None}
        depths = [key.removesuffix(".depth") for key in values if key.endswith(".depth")]
        for stage in depths:
            blocks = {f"{stage}.{j}" for j in range(1, int(str(values[f"{stage}.depth"])) + 1)}
            assert {n for n in names if n.startswith(f"{stage}.")} == blocks
            chosen |= blocks
        assert chosen <= set(names)


def _block_of(variable: str) -> str | None:
    """``"3.1"`` of ``"3.1"`` and ``"3.1.kernel"``; None of ``"3.width"`` and ``"resolution"``."""
    parts = variable.split(".")
    numbered = len(parts) > 1 and all(p.isdigit() for p in parts[:2])
    return ".".join(parts[:2]) if numbered else None


@each_chain
def test_published_names_are_architectures_of_the_space(name: str) -> None:
    space = make_space(name)
    for published, text in space.published.items():
        where = make_space(name, ELSEWHERE[published]) if published in ELSEWHERE else space
        found = where.parse(published)
        assert str(found) == text
        assert where.parse(f" {text} ") == found
        assert where.unrank(where.rank(found)) == found
        if published in ELSEWHERE:
            with pytest.raises(ParseError):
                space.parse(published)
    with pytest.raises(ParseError):
        space.parse(f"{name}_of_nobody")


@pytest.fixture(scope="module")
def noise() -> ImageData:
    """Random images of 18 pixels in 10 classes."""
    stream = torch.Generator().manual_seed(0)
    images = torch.randn(24, 3, 18, 18, generator=stream)
    labels = torch.arange(24) % 10
    return ImageData(
        "noise", images[:16], labels[:16], images[16:], labels[16:], 10, torch.zeros(3),
        shift=0, flip=False,
    )  # fmt: skip


@pytest.mark.parametrize("method", METHODS)
@each_chain
def test_every_method_that_fits_searches_it(
    name: str, method: str, noise: ImageData, tmp_path: Path
) -> None:
    space, config = small(name), SearchConfig(method=method, epochs=1, batch=8)
    if resizes(name) and method in MIXING:
        with pytest.raises(UsageError, match="resolution"):
            search(space, noise, config, directory=tmp_path)
        return
    found = search(space, noise, config, directory=tmp_path).architecture
    assert space.parse(str(found)) == found
    assert space.build(found).output_shape == (1, 10)


@each_chain
def test_predictors_fit_and_predict_it(name: str) -> None:
    space = small(name, **({"depths": (1, 2, 3)} if name == "resnet" else {}))  # it has 16 else
    sample = tuple(a for _, a in space.unique_samples(0, 36))
    macs = np.array([float(space.build(a).macs) for a in sample])
    fitted, rest = sample[:20], sample[20:]
    data = LatencyDataset(space, fitted, 1e-3 + 1e-9 * macs[:20], "fake", "nowhere")
    for predictor in ("ridge-counts", "ridge-layers"):
        model = LatencyModel.fit(data, make_predictor(predictor))
        predicted = model.predict(rest)
        assert predicted.shape == (16,)
        assert (predicted > 0).all()
        assert np.corrcoef(predicted, macs[20:])[0, 1] > 0.5, predictor


@each_chain
def test_onnx_runtime_computes_what_torch_does(name: str) -> None:
    space = small(name, batch=2, resolution=19, in_channels=2)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    for index in range(3):
        network = space.build(space.sample(3, index))
        session = onnxruntime.InferenceSession(
            to_onnx(network).SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        (got,) = session.run([OUTPUT], {INPUT: make_input(network)})
        error, allowed = parity(network, np.asarray(got), 1e-4)
        assert error <= allowed


@each_chain
def test_a_resolution_that_a_stage_cannot_halve_is_refused(name: str) -> None:
    space = make_space(name)
    resolutions = {"resolutions": (8,)} if resizes(name) else {"resolution": 2}
    tiny = make_space(name, {**space.small, **resolutions})
    with pytest.raises(
        UsageError, match=r"reduces an image \d+ times, .* at least \d+ pixels, got"
    ):
        tiny.build(tiny.reference())


@each_chain
def test_evolution_keeps_a_limit_in_it(name: str) -> None:
    space = small(name)

    def cost(many: Sequence[Any]) -> npt.NDArray[np.float64]:
        return np.array([float(space.build(a).macs) for a in many])

    limit = float(np.median(cost([space.sample(1, i) for i in range(30)])))
    found = evolution(
        space,
        cost,
        lambda a: float(space.build(a).parameters),
        limit=limit,
        budget=12,
        population=6,
    )
    assert max(trial.cost for trial in found.history) <= limit
    assert found.best.score == max(trial.score for trial in found.history)
