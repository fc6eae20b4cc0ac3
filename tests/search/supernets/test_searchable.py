"""What every method must keep, in every space that it can search."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Generator, Tensor

from latbench.errors import UsageError
from latbench.results import SearchEpoch
from latbench.search import SearchConfig, search
from latbench.search.images.images import ImageData
from latbench.search.loop import CHECKPOINT, SearchOutcome
from latbench.search.methods import METHODS, parse_method
from latbench.search.relaxations.relaxation import Relaxation
from latbench.search.search_state import read_course, read_supernet
from latbench.search.supernets.darts_choices import DARTS
from latbench.search.supernets.nasbench201_supernet import NASBENCH201
from latbench.search.supernets.searchable import make_supernet
from latbench.spaces import AnySpace, darts, nasbench201

SPACES: dict[str, AnySpace] = {
    "darts": darts(channels=4, cells=3, resolution=8, in_channels=1),
    "nasbench201": nasbench201(channels=4, cells=1, resolution=8, in_channels=1),
}
CHOICES = {"darts": DARTS, "nasbench201": NASBENCH201}
ONE_SHOT = "single-path(budget=6, population=3, images=16)"
FITTING = {
    "darts": ("darts", "darts-2nd", "pc-darts", "gdas", ONE_SHOT),
    "nasbench201": ("darts", "darts-2nd", "gdas", ONE_SHOT),
}
PAIRS = [(space, method) for space, methods in FITTING.items() for method in methods]
each_method = pytest.mark.parametrize(("name", "method"), PAIRS)
# The second order has the relaxation of the first, and single paths learn nothing.
each_relaxation = pytest.mark.parametrize(
    ("name", "method"), [pair for pair in PAIRS if pair[1] not in ("darts-2nd", ONE_SHOT)]
)


def test_every_method_is_tried() -> None:
    assert {method.partition("(")[0] for _, method in PAIRS} == set(METHODS)


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


@each_method
def test_a_search_is_deterministic_and_goes_on_where_it_stopped(
    name: str, method: str, digits: ImageData, tmp_path: Path
) -> None:
    space, config = SPACES[name], settings(name, method)
    few = torch.arange(32)
    images, labels = digits.train_images[few], digits.train_labels[few]
    data = replace(digits, train_images=images, train_labels=labels)
    straight = search(space, data, config, directory=tmp_path / "a")

    def interrupt(epoch: SearchEpoch) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search(space, data, config, directory=tmp_path / "b", progress=interrupt)
    torch.manual_seed(99)  # the caller's generator plays no part
    resumed = search(space, data, config, directory=tmp_path / "b")
    assert resumed.resumed_from == 1
    assert same(straight, resumed)
    assert space.parse(str(straight.architecture)) == straight.architecture
    for key, values in read_course(tmp_path / "a" / CHECKPOINT).items():
        assert np.array_equal(values, straight.course[key])
        assert len(values) == 2
        assert (values[0] != values[1]).any()


@each_relaxation
def test_samples_are_encodings_of_architectures(name: str, method: str) -> None:
    made, space = relaxation(name, method), SPACES[name]
    samples = made.sample(20, Generator().manual_seed(1))
    for vector in samples.detach():
        rows = vector.reshape(CHOICES[name].shape)
        found = CHOICES[name].architecture(rows)
        assert np.array_equal(space.one_hot(found), vector.numpy())
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
    """GDAS: the sampled candidate of each edge; the others: all candidates."""
    made, config = relaxation(name, method), settings(name, method)
    made.begin_epoch(0, 2)
    net = make_supernet(SPACES[name], config, made.edge)
    stream = Generator().manual_seed(4)
    (weights,) = made.subgraphs(stream)
    calls: list[str] = []
    candidates = {
        n: m for n, m in net.named_modules() if n.rpartition(".")[0].endswith("operations")
    }
    for key, module in candidates.items():
        module.register_forward_hook(lambda *_, key=key: calls.append(key))
    net(torch.randn(4, 1, 8, 8), weights).square().sum().backward()
    assert len(calls) == len(set(calls))
    if method != "gdas":
        assert len(calls) == len(candidates)
        return
    cells = 3
    kinds = [0, 1, 1] if name == "darts" else [0] * cells  # normal and reduction cell
    rows = weights.detach().reshape(-1, *weights.shape[-2:])
    assert torch.equal(rows.sum(-1), torch.ones(rows.shape[:-1]))
    picked = sum(int((rows[kind].argmax(-1) > 0).sum()) for kind in kinds)  # 0 is 'none'
    assert len(calls) == picked < len(candidates)
    ran = {key for key in calls if any(True for _ in candidates[key].parameters())}
    trained = {
        key for key, m in candidates.items() if any(p.grad is not None for p in m.parameters())
    }
    assert trained <= ran
    (alpha,) = made.parameters()
    assert alpha.grad is not None
    assert (alpha.grad.abs().sum(-1) > 0).float().mean() > 0.5  # of edges that are not 'none'


@pytest.mark.parametrize("name", SPACES)
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
    with pytest.raises(UsageError, match=r"of another supernet.*size mismatch"):
        search(space, digits, wider, directory=tmp_path / "b", weights=weights)
    assert not (tmp_path / "b" / CHECKPOINT).exists()
