"""What every space of chains must keep, found by its class: a new one is tried without a change."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
import pytest
import torch
from loading import as_model

from latbench.errors import ParseError, UsageError
from latbench.export.onnx import INPUT, OUTPUT, to_onnx
from latbench.export.parity import parity
from latbench.networks.blocks import classifier, conv_bn
from latbench.networks.weights import make_input
from latbench.predictors import make_predictor
from latbench.predictors.model import LatencyModel
from latbench.search import SearchConfig, search
from latbench.search.baselines.searches import evolution
from latbench.search.images.images import ImageData
from latbench.spaces import SPACES, AnySpace, known_name, make_space, parse_space
from latbench.spaces.assembly import Assembler
from latbench.spaces.chains.chain import ChainConfig, ChainSpace
from latbench.spaces.chains.proxyless_space import WIDTHS
from latbench.spaces.drawing import ChainGraph
from latbench.spaces.variables import One, Some, Variable
from latbench.store.dataset import LatencyDataset
from latbench.testing import check_space

CHAINS = tuple(name for name in SPACES if isinstance(make_space(name), ChainSpace))
each_chain = pytest.mark.parametrize("name", CHAINS)
# Published networks of other settings than the defaults.
ELSEWHERE: dict[str, dict[str, Any]] = {
    "resnet50": {"block": "bottleneck"},
    "resnet20_cifar": {"stem": "cifar", "widths": (32, 64, 128)},
    "fbnet_a": {"head": 1504},
    **{name: {"widths": widths} for name, widths in WIDTHS.items()},
}
# A resolution is not mixed: the methods that run several options in one pass refuse it.
MIXING = ("darts", "fbnet", "proxylessnas", "msg-das")
METHODS = (
    "gdas", "msg-das(guidance=0)", "single-path(budget=6, population=3, images=8)",
    "training-free(budget=4, population=2)",
    "training-free(budget=4, score=naswot, images=8, evolve=false)", *MIXING,
)  # fmt: skip


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


class Branches(ChainSpace[ChainConfig]):
    """Convolutions beside one another, of which a network has two or three."""

    name = "branches"
    small = MappingProxyType({"resolution": 18})

    def __init__(self, config: ChainConfig | None = None) -> None:
        self.config = config or ChainConfig(classes=10, resolution=18)

    def variables(self) -> Iterator[Variable]:
        yield One("1.1", ("4", "6"), kind="width")
        yield Some("kept", tuple("abcd"), 2, 3)

    def assemble(self, b: Assembler) -> int:
        x = conv_bn(b, b.input, b.number("1.1"), 3)
        b.mark("1.1", x)
        branches = {
            name: conv_bn(b, x, 4, kernel)
            for name, kernel in zip("abcd", (1, 3, 5, 7), strict=True)
        }
        return classifier(b, b.total([*b.some("kept", branches).values()]), self.config.classes)


def test_a_set_in_a_chain_is_drawn_from_those_that_there_are() -> None:
    space = Branches()
    kept = space.forest["kept"]
    assert isinstance(kept, Some)
    drawn = [space.sample(0, i) for i in range(500)]
    codes = [a.code[space.forest.index["kept"]] for a in drawn]
    counts = [codes.count(members) for members in kept.sets]
    assert sum(counts) == 500
    assert len(counts) == 6 + 4
    assert min(counts) > 25  # of 50
    for a in drawn[:8]:
        assert space.parse(str(a)) == a
        assert space.build(a).output_shape == (1, 10)


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
        error, allowed = parity(as_model(network), np.asarray(got), 1e-4)
        assert error <= allowed


@each_chain
def test_a_resolution_that_a_stage_cannot_halve_is_refused(name: str) -> None:
    """By its configuration, before anything is built, measured or searched."""
    setting, least = ("resolutions", (8,)) if resizes(name) else ("resolution", 2)
    with pytest.raises(UsageError, match=rf"^{setting} must be \d+ pixels or more, since"):
        make_space(name, {**make_space(name).small, setting: least})


@each_chain
def test_the_least_resolution_is_halved_to_one_pixel(name: str) -> None:
    halvings = getattr(small(name).config, "halvings", lambda: 2)()
    least = 2 ** (halvings - 1) + 1
    space = small(name, **({"resolutions": (least,)} if resizes(name) else {"resolution": least}))
    network = space.build(space.reference())
    assert network.reduction == 2**halvings


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fbnetv2(resolutions=(128 128))", "^resolutions must be in rising order"),
        ("resnet(depths=(2 2))", "^depths must be in rising order"),
        ("nats-size(widths=(8 8))", "^widths must be in rising order"),
    ],
)
def test_options_are_in_rising_order(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_space(text)


@pytest.mark.parametrize(
    ("space", "name", "message"),
    [
        ("proxyless", "proxyless_gpu", r"is a network of proxyless\(width=1.0, widths=\(40 24 32"),
        ("proxyless", "proxyless_gpi", "did you mean 'proxyless_gpu'"),
        ("fbnet", "fbnet_a", r"is a network of fbnet\(width=1.0, head=1504\), .* has head=1984"),
        ("spos(width=0.5)", "spos", "is a network of spos"),
        ("ofa(width=1.2)", "ofa_max", "is a network of ofa"),
        ("resnet", "resnet19", "did you mean 'resnet18'"),
    ],
)
def test_a_published_name_is_of_its_own_settings(space: str, name: str, message: str) -> None:
    with pytest.raises(ParseError, match=message):
        parse_space(space).parse(name)
    # A text is no name: in another space it is another network.
    assert known_name(make_space("proxyless").published["proxyless_mobile"]) != "proxyless_mobile"


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
