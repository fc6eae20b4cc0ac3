"""What every method must keep, in every space that it can search."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from interrupted import straight_and_resumed
from own_spaces import Blocks, one_hot_names, replace_resolution, small_blocks
from torch import Generator, Tensor

from latbench.errors import UsageError
from latbench.search import SearchConfig, search
from latbench.search.images.images import ImageData
from latbench.search.loop import CHECKPOINT, SearchOutcome
from latbench.search.methods import METHODS, parse_method
from latbench.search.relaxations.relaxation import Relaxation
from latbench.search.search_state import read_course, read_supernet
from latbench.search.supernets.mixed import MixedModule
from latbench.search.supernets.searchable import make_supernet, single_operations
from latbench.spaces import AnySpace, darts, make_space, nasbench201
from latbench.spaces.variables import Some

SPACES: dict[str, AnySpace] = {
    "darts": darts(channels=4, cells=3, resolution=8, in_channels=1),
    "nasbench201": nasbench201(channels=4, cells=1, resolution=8, in_channels=1),
    "blocks": small_blocks(in_channels=1, classes=10),
    "fixed size": small_blocks(in_channels=1, classes=10, resolutions=(24,)),
}
RESOLUTION = {"blocks": 32, "fixed size": 24}
ONE_SHOT = "single-path(budget=6, population=3, images=16)"
STAGES = "hurricane(budget=6, population=3, images=16)"
FITTING = {
    "darts": ("darts", "darts-2nd", "pc-darts", "gdas", "msg-das", ONE_SHOT),
    "nasbench201": (
        "darts",
        "darts-2nd",
        "gdas",
        "msg-das",
        "fbnet",
        "proxylessnas",
        ONE_SHOT,
        STAGES,
    ),
    "blocks": (
        "gdas",
        "msg-das(guidance=0)",
        "dmasking",
        "dmasking(resolutions=mixed)",
        ONE_SHOT,
    ),
    "fixed size": ("darts", "darts-2nd", "dmasking", "fbnet", "proxylessnas"),
}
PAIRS = [(space, method) for space, methods in FITTING.items() for method in methods]
each_method = pytest.mark.parametrize(("name", "method"), PAIRS)
# A whole search in DARTS takes seconds; its methods but one are searched by in other spaces, too.
each_search = pytest.mark.parametrize(
    ("name", "method"),
    [
        pytest.param(*pair, marks=pytest.mark.slow)
        if pair[0] == "darts" and not pair[1].startswith("pc-darts")
        else pair
        for pair in PAIRS
    ],
)
# The second order has the relaxation of the first, and single paths learn nothing.
each_relaxation = pytest.mark.parametrize(
    ("name", "method"), [pair for pair in PAIRS if pair[1] not in ("darts-2nd", ONE_SHOT, STAGES)]
)


def test_every_method_is_tried() -> None:
    """But what trains no supernet, see tests/search/methods/test_training_free.py."""
    tried = {method.partition("(")[0] for _, method in PAIRS}
    assert {*tried, "training-free"} == set(METHODS)


def settings(name: str, method: str) -> SearchConfig:
    cells = 3 if name == "darts" else 1
    return SearchConfig(
        method=method, epochs=2, batch=16, channels=4, cells=cells, alpha_learning_rate=0.1
    )  # fmt: skip


def relaxation(name: str, method: str, scale: float = 1.0) -> Relaxation:
    """One with parameters that are spread out."""
    made = parse_method(method).relaxation(SPACES[name], Generator().manual_seed(0))
    for parameter in made.parameters():
        parameter.data.mul_(1e3 * scale)
    return made


def same(a: SearchOutcome, b: SearchOutcome) -> bool:
    return (
        a.architecture == b.architecture
        and [e.train_accuracy for e in a.history] == [e.train_accuracy for e in b.history]
        and a.course.keys() == b.course.keys()
        and all(np.array_equal(a.course[k], b.course[k]) for k in a.course)
    )


@each_search
def test_a_search_is_deterministic_and_goes_on_where_it_stopped(
    name: str, method: str, digits: ImageData, tmp_path: Path
) -> None:
    space, config = SPACES[name], settings(name, method)
    few = torch.arange(32)
    images, labels = digits.train_images[few], digits.train_labels[few]
    if size := RESOLUTION.get(name):
        assert isinstance(space, Blocks)
        space = replace_resolution(space, size)
        images = F.interpolate(torch.as_tensor(images), size=(size, size))
        test = F.interpolate(torch.as_tensor(digits.test_images), size=(size, size))
        digits = replace(digits, test_images=test)
    data = replace(digits, train_images=images, train_labels=labels)
    straight, resumed = straight_and_resumed(space, data, config, tmp_path)
    assert same(straight, resumed)
    assert space.parse(str(straight.architecture)) == straight.architecture
    for key, values in read_course(tmp_path / "a" / CHECKPOINT).items():
        assert np.array_equal(values, straight.course[key])
        assert len(values) == 2
        assert (values[0] != values[1]).any()


@each_relaxation
def test_samples_are_encodings_of_architectures(name: str, method: str) -> None:
    made, space = relaxation(name, method), SPACES[name]
    samples, forest = made.sample(20, Generator().manual_seed(1)), space.forest
    for vector in samples.detach():
        on = {n for n, x in zip(one_hot_names(space), vector, strict=True) if x}

        def choose(i: int, on: set[str] = on) -> int:
            v = forest.variables[i]
            if isinstance(v, Some):
                hanging = [forest.variables[c].name for cs in forest.children[i] for c in cs]
                kept = (any(o.startswith(f"{name}=") for o in on) for name in hanging)
                return sum(1 << j for j, there in enumerate(kept) if there)
            return next(k for k, o in enumerate(v.options) if f"{v.name}={o}" in on)

        assert np.array_equal(space.one_hot(space.of(forest.grow(choose))), vector.numpy())
    samples.square().sum().backward()  # type: ignore[no-untyped-call]
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in made.parameters())


@each_relaxation
def test_sharp_parameters_are_sampled_as_derived(name: str, method: str) -> None:
    made, space = relaxation(name, method, scale=1e4), SPACES[name]
    samples = made.sample(8, Generator().manual_seed(1)).detach()
    derived = torch.from_numpy(space.one_hot(made.derive()))
    assert torch.equal(samples, derived.expand_as(samples))


@each_relaxation
@pytest.mark.parametrize("scale", [0.01, 1.0])
def test_the_samples_gradient_points_where_the_expected_cost_rises(
    name: str, method: str, scale: float
) -> None:
    """Against finite differences, with common random numbers, of a random linear cost, in up to 12
    random coordinates of every parameter."""
    made = relaxation(name, method, scale)
    stream = Generator().manual_seed(3)
    cost = torch.rand(SPACES[name].one_hot(SPACES[name].reference()).size, generator=stream)

    def expected() -> Tensor:
        return (made.sample(1500, Generator().manual_seed(5)) @ cost).mean()

    expected().backward()  # type: ignore[no-untyped-call]
    gradients, differences = [], []
    for parameter in made.parameters():
        assert parameter.grad is not None
        flat = parameter.data.view(-1)
        for i in torch.randperm(len(flat), generator=stream)[:12].tolist():
            values = []
            for step in (0.5, -0.5):
                flat[i] += step
                with torch.no_grad():
                    values.append(float(expected()))
                flat[i] -= step
            gradients.append(float(parameter.grad.view(-1)[i]))
            differences.append(values[0] - values[1])
    found = torch.cosine_similarity(torch.tensor(gradients), torch.tensor(differences), dim=0)
    assert found > 0.9


@each_relaxation
def test_only_what_is_used_runs(name: str, method: str) -> None:
    """GDAS and MSG-DAS: the sampled alternative of each variable, ProxylessNAS two of them; the
    others: all."""
    made, config, space = relaxation(name, method), settings(name, method), SPACES[name]
    made.begin_epoch(0, 2)
    net = make_supernet(space, config, made)
    weights, *_ = made.subgraphs(Generator().manual_seed(4))
    calls = list[str]()
    mixed = {n: m for n, m in net.named_modules() if isinstance(m, MixedModule)}
    alternatives = {
        f"{n}.{k}": m
        for n, of in mixed.items()
        for k, m in enumerate(of.alternatives)
        if not of._empty[k]
    }
    for key, module in alternatives.items():
        module.register_forward_hook(lambda *_, key=key: calls.append(key))
    size = RESOLUTION.get(name, 8)
    net(torch.randn(4, 1, size, size), weights).square().sum().backward()
    sizes = 2 if "mixed" in method else 1  # each of which runs all
    assert len(calls) == sizes * len(set(calls))
    calls = list(dict.fromkeys(calls))
    read = net.layout.read(weights.detach())
    used = {
        f"{n}.{k}" for n, of in mixed.items() for k in read.used[of.variable] if not of._empty[k]
    }
    assert set(calls) <= used
    assert len(calls) == len(used) or space.name == "blocks"  # what a depth leaves out
    assert (len(calls) == len(alternatives)) == (
        method.partition("(")[0] not in ("gdas", "msg-das", "proxylessnas")
    )
    trained = {
        key for key, m in alternatives.items() if any(p.grad is not None for p in m.parameters())
    }
    assert trained <= set(calls)
    alpha = next(made.parameters())
    assert alpha.grad is not None
    assert (alpha.grad.abs() > 0).float().mean() > 0.3


def test_single_operations() -> None:
    found = [str(a) for a in single_operations(nasbench201())]
    assert found[0] == "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"
    assert len(found) == 5
    assert len(single_operations(darts())) == 7
    assert all(small_blocks().build(a) for a in single_operations(small_blocks()))


def test_a_supernet_of_another_size_has_the_same_variables() -> None:
    class Odd(type(SPACES["darts"])):  # type: ignore[misc]
        def variables(self) -> list[object]:
            return list(super().variables())[: self.config.cells]

    with pytest.raises(UsageError, match="has other variables than"):
        make_supernet(Odd(), settings("darts", "darts"), relaxation("darts", "darts"))


@pytest.mark.parametrize("name", ["darts", "nasbench201"])
def test_a_search_can_start_from_the_weights_of_another(
    name: str, digits: ImageData, tmp_path: Path
) -> None:
    space, config = SPACES[name], settings(name, "gdas")
    search(space, digits, config, directory=tmp_path / "first")
    weights = read_supernet(tmp_path / "first" / CHECKPOINT)
    # Weights that hardly move: what is read back is what was given.
    still = replace(config, epochs=1, learning_rate=1e-12, final_learning_rate=0.0)
    search(space, digits, still, directory=tmp_path / "next", weights=weights)
    after = read_supernet(tmp_path / "next" / CHECKPOINT)
    assert weights.keys() == after.keys()
    learned = [k for k in weights if "running" not in k and "num_batches" not in k]
    assert all(torch.allclose(after[k], weights[k], atol=1e-6) for k in learned)
    search(space, digits, still, directory=tmp_path / "fresh")
    fresh = read_supernet(tmp_path / "fresh" / CHECKPOINT)
    assert not all(torch.allclose(fresh[k], weights[k], atol=1e-6) for k in learned)


def test_a_checkpoint_knows_what_its_weights_started_from(
    digits: ImageData, tmp_path: Path
) -> None:
    space, config = SPACES["nasbench201"], settings("nasbench201", "gdas")
    first = search(space, digits, config, directory=tmp_path)
    weights = read_supernet(tmp_path / CHECKPOINT)
    with pytest.raises(UsageError, match="belongs to another search: its weights is None"):
        search(space, digits, config, directory=tmp_path, weights=weights)
    again = search(space, digits, config, directory=tmp_path / "b", weights=weights)
    assert not same(first, again)
    resumed = search(space, digits, config, directory=tmp_path / "b", weights=weights)
    assert resumed.resumed_from == config.epochs
    assert same(again, resumed)


def test_weights_of_another_supernet_are_refused(digits: ImageData, tmp_path: Path) -> None:
    space, config = SPACES["nasbench201"], settings("nasbench201", "gdas")
    search(space, digits, config, directory=tmp_path / "a")
    weights = read_supernet(tmp_path / "a" / CHECKPOINT)
    wider = replace(config, channels=8)
    with pytest.raises(
        UsageError, match=r"of 'nasbench201': its channels is 4, this search's is 8"
    ):
        search(space, digits, wider, directory=tmp_path / "b", weights=weights)
    with pytest.raises(UsageError, match=r"of another supernet.*size mismatch"):
        search(space, digits, wider, directory=tmp_path / "b", weights=dict(weights))
    other = settings("darts", "gdas")
    with pytest.raises(UsageError, match=r"of the space 'nasbench201', this search is of 'darts'"):
        search(SPACES["darts"], digits, other, directory=tmp_path / "b", weights=weights)
    assert not (tmp_path / "b" / CHECKPOINT).exists()


def test_weights_of_another_pool_are_refused(digits: ImageData, tmp_path: Path) -> None:
    body = {"widths": (8, 16, 24), "blocks": (2,), "resolution": 8, "classes": 10,
            "in_channels": 1, "stem_stride": 1}  # fmt: skip
    pools = [("mb3e3+sep5", "sep3+mb3e1"), ("mb3e3+sep7", "sep3+mb3e1")]
    config = SearchConfig("training-free(budget=1, population=1)", epochs=1, batch=8)
    first, other = (make_space("operators", body | {"pools": of}) for of in pools)
    search(first, digits, config, directory=tmp_path / "a")
    weights = read_supernet(tmp_path / "a" / CHECKPOINT)
    search(first, digits, config, directory=tmp_path / "b", weights=weights)
    with pytest.raises(UsageError, match=r"its pools is \['mb3e3\+sep5', .*'s is \['mb3e3\+sep7"):
        search(other, digits, config, directory=tmp_path / "c", weights=weights)


def test_weights_of_another_space_with_the_same_shapes_are_refused(
    digits: ImageData, tmp_path: Path
) -> None:
    """Unless it is said that they are to be taken; a space of more cells has the same supernet."""
    space = SPACES["nasbench201"]
    config = settings("nasbench201", "training-free(budget=1, population=1)")
    search(space, digits, config, directory=tmp_path / "a")
    weights = read_supernet(tmp_path / "a" / CHECKPOINT)
    larger = nasbench201(channels=4, cells=1, resolution=16, in_channels=1)
    images = digits.at(16)
    with pytest.raises(UsageError, match="its resolution is 8, this search's is 16"):
        search(larger, images, config, directory=tmp_path / "b", weights=weights)
    search(larger, images, config, directory=tmp_path / "b", weights=dict(weights))
    deeper = nasbench201(channels=16, cells=5, resolution=8, in_channels=1)
    search(deeper, digits, config, directory=tmp_path / "c", weights=weights)
