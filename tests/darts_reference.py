"""A second, independent definition of the DARTS evaluation network, in plain torch.

It shares nothing with ``latbench.spaces.cells.darts_space`` but the genotype, and exists to be
compared with it. Written from the paper (Liu et al., 2019, section 3 and appendix A) and the layer
order that its networks are known by.
"""

from __future__ import annotations

from itertools import islice

import torch
from torch import Tensor, nn

from latbench.spaces.cells.genotype_texts import parse_genotype
from latbench.spaces.cells.genotypes import Cell


class Halve(nn.Module):
    """FactorizedReduce."""

    def __init__(self, c_in: int, c: int) -> None:
        super().__init__()
        self.even = nn.Conv2d(c_in, c // 2, 1, 2, bias=False)
        self.odd = nn.Conv2d(c_in, c // 2, 1, 2, bias=False)
        self.norm = nn.BatchNorm2d(c)

    def forward(self, x: Tensor) -> Tensor:
        x = x.relu()
        out: Tensor = self.norm(torch.cat([self.even(x), self.odd(x[:, :, 1:, 1:])], 1))
        return out


def pointwise(c_in: int, c: int) -> nn.Module:
    return nn.Sequential(nn.ReLU(), nn.Conv2d(c_in, c, 1, bias=False), nn.BatchNorm2d(c))


def separable(c: int, size: int, stride: int, dilation: int) -> list[nn.Module]:
    reach = (size // 2) * dilation
    depthwise = nn.Conv2d(c, c, size, stride, reach, dilation, groups=c, bias=False)
    return [nn.ReLU(), depthwise, nn.Conv2d(c, c, 1, bias=False), nn.BatchNorm2d(c)]


def candidate(name: str, c: int, stride: int) -> nn.Module:
    size = int(name[-1]) if name[-1].isdigit() else 0
    if name == "max_pool_3x3":
        return nn.MaxPool2d(3, stride, 1)
    if name == "avg_pool_3x3":
        return nn.AvgPool2d(3, stride, 1, count_include_pad=False)
    if name == "skip_connect":
        return nn.Identity() if stride == 1 else Halve(c, c)
    if name.startswith("dil"):
        return nn.Sequential(*separable(c, size, stride, 2))
    return nn.Sequential(*separable(c, size, stride, 1), *separable(c, size, 1, 1))


class ReferenceCell(nn.Module):
    def __init__(self, cell: Cell, c2: int, c1: int, c: int, reduces: bool, after: bool) -> None:
        super().__init__()
        self.first = Halve(c2, c) if after else pointwise(c2, c)
        self.second = pointwise(c1, c)
        self.sources = [source for node in cell for _, source in node]
        self.inputs = [len(node) for node in cell]
        self.edges = nn.ModuleList(
            candidate(name, c, 2 if reduces and source < 2 else 1)
            for node in cell
            for name, source in node
        )

    def forward(self, before: Tensor, last: Tensor) -> Tensor:
        states = [self.first(before), self.second(last)]
        edges = iter(zip(self.edges, self.sources, strict=True))
        for inputs in self.inputs:
            read = [edge(states[source]) for edge, source in islice(edges, inputs)]
            states.append(torch.stack(read).sum(0))
        return torch.cat(states[2:], 1)


class ReferenceNetwork(nn.Module):
    """``imagenet`` chooses the stem of three strided convolutions."""

    def __init__(self, g: str, c: int, cells: int, classes: int, imagenet: bool) -> None:
        super().__init__()
        normal, reduction = parse_genotype(g)
        if imagenet:
            self.stem0 = nn.Sequential(
                nn.Conv2d(3, c // 2, 3, 2, 1, bias=False), nn.BatchNorm2d(c // 2), nn.ReLU(),
                nn.Conv2d(c // 2, c, 3, 2, 1, bias=False), nn.BatchNorm2d(c),
            )  # fmt: skip
            second = nn.Conv2d(c, c, 3, 2, 1, bias=False)
            self.stem1 = nn.Sequential(nn.ReLU(), second, nn.BatchNorm2d(c))
            c2 = c1 = c
        else:
            first = nn.Conv2d(3, 3 * c, 3, padding=1, bias=False)
            self.stem0 = nn.Sequential(first, nn.BatchNorm2d(3 * c))
            self.stem1 = nn.Sequential()
            c2 = c1 = 3 * c
        self.imagenet, after, built = imagenet, imagenet, []
        for i in range(cells):
            reduces = i in (cells // 3, 2 * cells // 3)
            c *= 1 + reduces
            built.append(ReferenceCell(reduction if reduces else normal, c2, c1, c, reduces, after))
            c2, c1, after = c1, 4 * c, reduces
        self.cells = nn.ModuleList(built)
        self.head = nn.Linear(c1, classes)

    def forward(self, x: Tensor) -> Tensor:
        before = self.stem0(x)
        last = self.stem1(before)
        for cell in self.cells:
            before, last = last, cell(before, last)
        out: Tensor = self.head(last.mean((2, 3)))
        return out
