"""The relaxation of GDAS (Dong and Yang, CVPR 2019, https://arxiv.org/abs/1910.04465).

Every pass samples one option a variable (Gumbel-max), and only that one runs, forward and backward;
the gradient reaches all of a variable's parameters through the softmax at a temperature. Published
code: D-X-Y/AutoDL-Projects, exps/NAS-Bench-201-algos/GDAS.py. Two differences from it: a pooling is
followed by a batch norm, as in the DARTS supernet that is shared, and a derived node always has two
different inputs, as in the paper's genotypes.
"""

from __future__ import annotations

from typing import ClassVar

from torch import Generator, Tensor

from latbench.search.relaxations.relaxation import AlphaRelaxation
from latbench.search.relaxations.tables import gumbel
from latbench.spaces import AnySpace


class GdasRelaxation(AlphaRelaxation):
    """One sampled option a variable; ``alpha`` as in ``DartsRelaxation``.

    The temperature falls linearly from ``temperature`` in the first epoch to
    ``final_temperature`` in the last (published: 10 to 0.1). Architectures are sampled at
    temperature 1 whatever the epoch: the temperature belongs to the supernet's paths. Derivation
    looks at ``alpha`` itself, and at a high temperature the penalty's gradient would nearly vanish.
    """

    name: ClassVar[str] = "gdas"

    def __init__(
        self, space: AnySpace, generator: Generator, temperature: float = 10.0,
        final_temperature: float = 0.1,
    ) -> None:  # fmt: skip
        super().__init__(space, generator)
        self.range = (temperature, final_temperature)
        self.temperature = temperature

    def begin_epoch(self, epoch: int, epochs: int) -> None:
        """Lowers the temperature."""
        start, end = self.range
        self.temperature = start + (end - start) * epoch / max(1, epochs - 1)

    def subgraphs(self, generator: Generator) -> tuple[Tensor, ...]:
        """Returns one sub-graph: exactly one-hot rows, with the gradient of the softmax at the
        temperature."""
        logits = self.drawn(generator)
        soft = self.weights(logits / self.temperature, hard=False)
        hard = self.weights(logits.detach(), hard=True)
        return (soft - soft.detach() + hard.detach(),)

    def drawn(self, generator: Generator) -> Tensor:
        """Draws ``(logits,)``: the logarithms of the odds and Gumbel noise, whose largest in each
        row is what is drawn."""
        noise = gumbel(self.alpha.shape, generator).to(self.alpha.device)
        return self.tables.normalised(self.alpha) + noise
