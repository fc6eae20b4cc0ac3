"""All that a search touches, what it has seen so far, and the checkpoint that holds both."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Generator, Tensor, nn
from torch.optim import SGD, Adam

from latbench.errors import UsageError
from latbench.results import SearchEpoch
from latbench.search import checkpoint
from latbench.search.config import SearchConfig
from latbench.search.constraint import Constraint
from latbench.search.images.images import ImageData
from latbench.search.methods import Method, settings_identity
from latbench.search.penalty import LatencyPenalty
from latbench.search.relaxations.relaxation import Relaxation
from latbench.search.rng import STREAMS, generator
from latbench.search.training.mixed_precision import Caster
from latbench.spaces import AnySpace
from latbench.spaces.streams import Purpose

_COURSE, _SUPERNET = "course", "supernet/"


class Streams(NamedTuple):
    """The generators of one epoch. They are apart, so that the images come in the same order
    whatever the penalty and the relaxation draw."""

    images: Generator
    relaxation: Generator
    penalty: Generator

    @staticmethod
    def of(seed: int, epoch: int, version: int = STREAMS) -> Streams:
        """Makes the streams of an epoch, from 0; ``version`` is the checkpoint's."""
        places = ((1 + epoch, stream) for stream in range(3))
        return Streams(*(generator(Purpose.SEARCH, seed, *p, version=version) for p in places))


@dataclass
class Course:
    """One record an epoch, and the architecture parameters after it by their names; ``streams`` is
    the version of the random streams that it began with."""

    epochs: list[SearchEpoch] = field(default_factory=list)
    parameters: dict[str, list[Tensor]] = field(default_factory=dict)
    streams: int = STREAMS

    @property
    def accuracies(self) -> list[float]:
        """Returns the validation accuracy of every epoch."""
        return [epoch.validation_accuracy for epoch in self.epochs]

    def add(self, epoch: SearchEpoch, relaxation: Relaxation) -> None:
        """Takes down an epoch that has just ended."""
        self.epochs.append(epoch)
        for name, tensor in relaxation.named_parameters():
            copy = tensor.detach().cpu().clone()
            self.parameters.setdefault(name, []).append(copy)

    def arrays(self) -> dict[str, npt.NDArray[np.float32]]:
        """Returns parameters by name, ``(epochs, *shape)``."""
        return {name: torch.stack(of).numpy() for name, of in self.parameters.items()}


class SearchState(NamedTuple):
    """The objects that a step of a search touches."""

    space: AnySpace
    data: ImageData
    config: SearchConfig
    method: Method
    penalty: LatencyPenalty | None
    constraint: Constraint | None
    relaxation: Relaxation
    supernet: nn.Module
    weight_optimizer: SGD
    alpha_optimizer: Adam | None
    caster: Caster
    streams: int = STREAMS

    def save(self, path: Path, identity: dict[str, Any], course: Course) -> None:
        """Writes the checkpoint."""
        tensors = checkpoint.collect(*self._owners()) | {
            f"{_COURSE}/{name}": torch.stack(of) for name, of in course.parameters.items()
        }
        epochs = [epoch.values() for epoch in course.epochs]
        scaler = self.caster.scaler.state_dict()
        values = {
            "identity": identity,
            "history": epochs,
            "scaler": scaler,
            "streams": self.streams,
        }
        checkpoint.write(path, tensors, values)

    def load(self, path: Path, identity: dict[str, Any]) -> Course:
        """Takes up the checkpoint, if there is one; returns what it has seen."""
        if not path.exists():
            return Course()
        tensors, values = checkpoint.read(path)
        checkpoint.check_identity(path, values["identity"], identity)
        checkpoint.restore(tensors, *self._owners())
        if self.caster.scaler.is_enabled():
            self.caster.scaler.load_state_dict(values["scaler"])
        epochs = [SearchEpoch.of(epoch) for epoch in values["history"]]
        parameters = {name: list(t.unbind()) for name, t in _course(tensors).items()}
        return Course(epochs, parameters, values.get("streams", 1))

    def start_from(self, weights: Mapping[str, Tensor]) -> str:
        """Gives the supernet the weights of another and returns their fingerprint. Raises
        UsageError when they are of another space, where that is known, or do not fit."""
        if isinstance(weights, SupernetWeights):
            weights.check_of(self.space, self.config)
        try:
            self.supernet.load_state_dict(weights)
        except RuntimeError as error:
            raise UsageError(
                "the weights to start from are of another supernet; it must have the same space, "
                f"channels, cells and method: {str(error).splitlines()[-1].strip()}"
            ) from error
        return checkpoint.fingerprint(weights)

    def cost_of(self, architecture: Any) -> tuple[float, float]:
        """Returns the cost of an architecture and what is paid for, see
        ``LatencyPenalty.cost_of``."""
        assert self.penalty is not None
        encoding = torch.from_numpy(self.space.one_hot(architecture))
        return self.penalty.cost_of(architecture, encoding.to(self.config.device))

    def derived_cost(self) -> tuple[float, float]:
        """Returns the cost of what would be derived now, as ``cost_of`` gives it."""
        return self.cost_of(self.relaxation.derive())

    def identity(self) -> dict[str, Any]:
        """Returns what must be equal for a search to go on from a checkpoint."""
        return {
            "config": settings_identity(self.config),
            "space": self.space.identity(),
            "data": self.data.fingerprint(),
            "penalty": None if self.penalty is None else self.penalty.fingerprint(),
        }

    def _owners(self) -> tuple[dict[str, nn.Module], dict[str, torch.optim.Optimizer]]:
        modules = {"supernet": self.supernet, "relaxation": self.relaxation}
        if self.constraint is not None:
            modules["constraint"] = self.constraint
        optimizers: dict[str, torch.optim.Optimizer] = {"weights": self.weight_optimizer}
        if self.alpha_optimizer is not None:
            optimizers["alpha"] = self.alpha_optimizer
        return modules, optimizers


def _course(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    prefix = f"{_COURSE}/"
    return {k[len(prefix) :]: t for k, t in tensors.items() if k.startswith(prefix)}


def read_course(path: Path | str) -> dict[str, npt.NDArray[np.float32]]:
    """Reads the architecture parameters of every epoch in a search's checkpoint:
    ``(epochs, *shape)`` by name (``alpha``, and for PC-DARTS ``beta``). Raises ParseError when the
    file is broken."""
    tensors, _ = checkpoint.read(Path(path))
    return {name: tensor.numpy() for name, tensor in _course(tensors).items()}


class SupernetWeights(dict[str, Tensor]):
    """The weights of a supernet by name, with the identity of the search that trained them, by
    which another space is told even where its supernet has the same shapes."""

    def __init__(self, tensors: Mapping[str, Tensor], identity: Mapping[str, Any]) -> None:
        super().__init__(tensors)
        self._of = _sized(identity["space"], identity["config"])

    def check_of(self, space: AnySpace, config: SearchConfig) -> None:
        """Raises UsageError, naming what differs, unless the supernet of a search has this
        space."""
        sizes = {name: getattr(config, name) for name in _SIZES}
        own = _sized(json.loads(json.dumps(space.identity())), sizes)
        names = [of["name"] for of in (self._of, own)]
        said = f"of the space {names[0]!r}, this search is of {names[1]!r}"
        if names[0] == names[1]:
            flat = [{**of, **of["config"]} for of in (self._of, own)]
            differ = [k for k in flat[1] if k != "config" and flat[0].get(k) != flat[1][k]]
            if not differ:
                return
            pairs = (f"{k} is {flat[0].get(k)!r}, this search's is {flat[1][k]!r}" for k in differ)
            said = f"of another supernet of {names[0]!r}: its {'; its '.join(pairs)}"
        raise UsageError(
            f"the weights to start from are {said}; take a supernet of this one, or give "
            "dict(weights) for what has the same names and shapes"
        )


_SIZES = ("channels", "cells")  # of a supernet, which a search's settings say


def _sized(space: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """A space's identity at the size of a search's supernet, see ``searchability.proxy``."""
    sizes = {**{name: config[name] for name in _SIZES}, "batch": 1}
    own = space["config"]
    sized = {k: sizes[k] if k in sizes and type(v) is int else v for k, v in own.items()}
    return {**space, "config": sized}


def read_supernet(path: Path | str) -> SupernetWeights:
    """Reads the supernet's weights in a search's checkpoint, as its ``state_dict``: for another
    search to start from, or for a one-shot score. Raises ParseError when the file is broken."""
    tensors, values = checkpoint.read(Path(path))
    own = {k.removeprefix(_SUPERNET): t for k, t in tensors.items() if k.startswith(_SUPERNET)}
    return SupernetWeights(own, values["identity"])
