"""Constraints of a training: zeros that stay, weights to be near to, a teacher's outputs."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from latbench.export.torch import NetworkModule
from latbench.files import content_hash
from latbench.models import Model
from latbench.networks.weights import Array
from latbench.search.training.steps import LAYOUT


@dataclass(frozen=True)
class Constraints:
    """The constraints of a training.

    With ``zeros_stay``, convolutions' weights that are exactly zero at the start stay zero. The
    weights ``toward`` are arrays by the names of ``network.tensors()``: half of ``strength`` times
    the squared distance to them is added to the loss (the augmented term of ADMM, Boyd et al.,
    2011, equation 3.5, in scaled form). A ``teacher`` is a network of the same outputs: the loss is
    ``1 - share`` of that of the labels, and ``share`` of the cross-entropy with the teacher's
    probabilities at a ``temperature``, times its square (Hinton et al., 2015,
    https://arxiv.org/abs/1503.02531, section 2).
    """

    zeros_stay: bool = False
    toward: Mapping[str, Array] = field(default_factory=dict, repr=False)
    strength: float = 0.0
    teacher: Model | None = None
    share: float = 0.5
    temperature: float = 4.0

    @property
    def identity(self) -> str:
        """Returns a text that changes with what they ask for."""
        arrays = [
            (name, hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest())
            for name, array in sorted(self.toward.items())
        ]
        teacher = None if self.teacher is None else self.teacher.digest
        values = (self.zeros_stay, self.strength, teacher, self.share, self.temperature)
        return content_hash(values, arrays)


class Constrained:
    """The constraints of a module that is about to be trained, on its device."""

    def __init__(self, constraints: Constraints, module: NetworkModule, device: str) -> None:
        """Remembers where the module's weights are zero now."""
        self._asked = constraints
        weights = {name: p for name, p in module.layers.named_parameters() if p.dim() == 4}
        self._zeros = [(p, p == 0) for p in weights.values() if constraints.zeros_stay]
        self._zeros = [(p, zero) for p, zero in self._zeros if bool(zero.any())]
        for parameter, zero in self._zeros:  # else they count in the norm that is clipped
            hook = partial(torch.masked_fill, mask=zero, value=0.0)
            parameter.register_hook(hook)  # type: ignore[no-untyped-call]
        parameters = dict(module.layers.named_parameters())
        self._pulled = [
            (parameters[name], torch.from_numpy(np.ascontiguousarray(array)).to(device))
            for name, array in constraints.toward.items()
        ]
        self._teacher = None
        if constraints.teacher is not None:
            self._teacher = constraints.teacher.torch().to(device=device).eval()
            self._teacher.to(memory_format=LAYOUT)  # type: ignore[call-overload]

    def loss(self, loss: Tensor, images: Tensor, logits: Tensor) -> Tensor:
        """Returns the loss with what the constraints add to it."""
        if self._teacher is not None:
            hot, share = self._asked.temperature, self._asked.share
            with torch.no_grad():
                target = F.softmax(self._teacher(images).float() / hot, dim=1)
            taught = F.cross_entropy(logits.float() / hot, target) * hot**2
            loss = (1 - share) * loss + share * taught
        for parameter, target in self._pulled:
            loss = loss + self._asked.strength / 2 * (parameter - target).square().sum()
        return loss

    def after_step(self) -> None:
        """Puts back what has to stay zero."""
        with torch.no_grad():
            for parameter, zero in self._zeros:
                parameter.masked_fill_(zero, 0.0)
