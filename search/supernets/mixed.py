"""The modules of a supernet's own layer kinds, and how they read one pass' weights."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call

from latbench.networks.ops import Shape, Zero
from latbench.networks.supernet_ops import Mask, Mixed
from latbench.search.supernets.dropblock import DropBlock
from latbench.spaces.forest import Forest
from latbench.spaces.open_number import OpenNumber, at
from latbench.spaces.variables import Some


@dataclass(frozen=True)
class PassWeights:
    """The weights of one pass by variable: one scalar an option, and the options whose weight is
    not 0.

    The row of a variable that hangs on a member of a set is scaled by that member's weight, which
    ``scale`` has.
    """

    rows: dict[str, tuple[Tensor, ...]]
    used: dict[str, list[int]]
    scale: dict[str, Tensor]


class WeightLayout(nn.Module):
    """The reading of a flat vector of weights, one for each of ``forest.columns``.

    What is used is asked once a pass for all variables: on a GPU every question would be a wait.
    """

    scales: Tensor

    def __init__(self, forest: Forest) -> None:
        super().__init__()
        none = forest.offsets[-1]
        scales = [none] * none
        self._parts = {
            v.name: slice(*forest.offsets[i : i + 2]) for i, v in enumerate(forest.variables)
        }
        self._scaled: dict[str, int] = {}
        for i, v in enumerate(forest.variables):
            p = forest.parents[i]
            if v.given is not None and isinstance(forest.variables[p], Some):
                member = forest.offsets[p] + forest.variables[p].options.index(v.given[1][0])
                scales[self._parts[v.name]] = [member] * len(v.options)
                self._scaled[v.name] = member
        self.register_buffer("scales", torch.tensor(scales), persistent=False)

    def read(self, weights: Tensor) -> PassWeights:
        """Reads ``(columns,)``."""
        scaled = weights * torch.cat([weights, weights.new_ones(1)])[self.scales]
        flags = (scaled.detach() != 0).tolist()
        rows, all_ = scaled.unbind(), weights.unbind() if self._scaled else ()
        return PassWeights(
            {name: rows[part] for name, part in self._parts.items()},
            {n: [k for k, on in enumerate(flags[p]) if on] for n, p in self._parts.items()},
            {name: all_[member] for name, member in self._scaled.items()},
        )


# Makes the module that runs a Mixed layer, from it and its input's shape. It is called as
# ``module(x, weights: PassWeights)``.
MakeMixed = Callable[[Mixed, Shape], nn.Module]
# Makes the module that runs one alternative; the supernet's, since an alternative may hold others.
MakeNetwork = Callable[..., nn.Module]


def total(terms: Sequence[Tensor]) -> Tensor:
    """Returns the sum of one or more tensors, without the zero that ``sum`` starts from."""
    return functools.reduce(torch.add, terms)


class MixedModule(nn.Module):
    """The weighted sum of alternatives (DARTS, equation 2), of which only the used ones run.

    An alternative that is nothing but a Zero adds nothing. Of nothing but those it gives zeros,
    through which the weights still get a gradient (of zero). What an alternative passes on as it
    is goes through a ``DropBlock``.
    """

    def __init__(self, op: Mixed, input_shape: Shape, network: MakeNetwork) -> None:
        super().__init__()
        self.variable = op.variable
        self.alternatives = nn.ModuleList(network(one) for one in op.alternatives)
        self._empty = [
            len(one.layers) > 1 and all(isinstance(layer.op, Zero) for layer in one.layers[1:])
            for one in op.alternatives
        ]
        self._skips, self.drop = frozenset(op.skips), DropBlock()
        given, wanted = at(input_shape, None), at(op.alternatives[0].output_shape, None)
        self.strides = tuple(-(-g // w) for g, w in zip(given[2:], wanted[2:], strict=True))
        self._channels = wanted[1]

    def forward(self, x: Tensor, weights: PassWeights) -> Tensor:
        """Mixes with the variable's row of weights."""
        row = weights.rows[self.variable]
        terms: list[Tensor] = [
            row[k] * self._dropped(k, self.alternatives[k](x, weights))
            for k in weights.used[self.variable]
            if not self._empty[k]
        ]
        if terms:
            return total(terms)
        part = x[:, :, :: self.strides[0], :: self.strides[1]] if self.strides else x
        if part.shape[1] != self._channels:
            part = part[:, :1].expand(-1, self._channels, *part.shape[2:])
        return row[0] * torch.zeros_like(part)

    def _dropped(self, k: int, y: Tensor) -> Tensor:
        return self.drop(y) if k in self._skips else y


def read_masked(module: nn.Module, x: Tensor, mask: Tensor) -> Tensor:
    """Runs a layer on ``(N, C, ...)`` times a mask ``(C,)``.

    Of torch's convolutions and linear layers the mask goes to the weights that read a channel,
    which is the same, and keeps a copy of them for the backward pass instead of one of the map:
    ``benchmarks/masks.py`` has the memory.
    """
    if type(module) not in (nn.Conv2d, nn.Linear):  # whatever a layer from outside does
        plain: Tensor = module(x * mask.to(x.dtype).view(1, -1, *[1] * (x.dim() - 2)))
        return plain
    weight = module.weight
    assert isinstance(weight, Tensor)
    masked = weight * mask.view(1, -1, *[1] * (weight.dim() - 2))
    read: Tensor = functional_call(module, {"weight": masked}, (x,))
    return read


class MaskModule(nn.Module):
    """The odds of each channel of a tensor: of a segment whose width is open, channel c is there
    with the odds of all widths above c (FBNetV2, section 3.1)."""

    def __init__(self, op: Mask) -> None:
        super().__init__()
        self.segments = op.segments
        for i, segment in enumerate(op.segments):
            if isinstance(segment, OpenNumber):
                widths = torch.tensor(list(segment.table.values()))
                table = (torch.arange(int(segment)) < widths[:, None]).float()
                self.register_buffer(f"table{i}", table, persistent=False)

    def forward(self, weights: PassWeights) -> Tensor:
        """Returns the odds ``(C,)``."""
        some = next(row[0] for row in weights.rows.values() if row)
        return torch.cat(
            [
                # No matrix product, which autocast would round.
                (self._odds(segment, weights)[:, None] * getattr(self, f"table{i}")).sum(0)
                if isinstance(segment, OpenNumber) else some.new_ones(segment)
                for i, segment in enumerate(self.segments)
            ]
        )  # fmt: skip

    def _odds(self, width: OpenNumber, weights: PassWeights) -> Tensor:
        """The odds of each combination of options that a width depends on."""
        found = []
        for key in width.table:
            factors = [weights.rows[n][k] for n, k in zip(width.names, key, strict=True)]
            found.append(functools.reduce(torch.mul, factors))
        return torch.stack(found)
