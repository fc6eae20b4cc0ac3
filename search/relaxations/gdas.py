"""The relaxation of GDAS (Dong and Yang, CVPR 2019, https://arxiv.org/abs/1910.04465).

Every pass samples one operation an edge (Gumbel-max), and only that one runs, forward and backward;
the gradient reaches all of an edge's parameters through the softmax at a temperature. Published
code: D-X-Y/AutoDL-Projects, exps/NAS-Bench-201-algos/GDAS.py. Two differences from it: a pooling is
followed by a batch norm, as in the DARTS supernet that is shared, and a derived node always has two
different inputs, as in the paper's genotypes.
"""

from __future__ import annotations

from typing import Any, ClassVar, final

import torch
from torch import Generator, Tensor

from latbench.networks.ops import Shape
from latbench.search.relaxations.relaxation import Relaxation
from latbench.search.supernets.choices import Choices, gumbel, mean_entropy
from latbench.search.supernets.darts_choices import DARTS
from latbench.search.supernets.mixed_edge import MixedOperation


@final
class GdasRelaxation(Relaxation):
    """One sampled operation an edge; ``alpha`` as in ``DartsRelaxation``.

    The temperature falls linearly from ``temperature`` in the first epoch to
    ``final_temperature`` in the last (published: 10 to 0.1).
    """

    name: ClassVar[str] = "gdas"

    def __init__(
        self,
        generator: Generator,
        choices: Choices = DARTS,
        temperature: float = 10.0,
        final_temperature: float = 0.1,
    ) -> None:
        super().__init__()
        self.choices = choices
        self.range = (temperature, final_temperature)
        self.temperature = temperature
        self.alpha = choices.initial(generator)

    def begin_epoch(self, epoch: int, epochs: int) -> None:
        """Lowers the temperature."""
        start, end = self.range
        self.temperature = start + (end - start) * epoch / max(1, epochs - 1)

    def subgraphs(self, generator: Generator) -> tuple[Tensor]:
        """Returns one sub-graph: exactly one-hot rows, with the gradient of the softmax at the
        temperature."""
        noise = gumbel(self.alpha.shape, generator).to(self.alpha.device)
        logits = torch.log_softmax(self.alpha, dim=-1) + noise
        soft = torch.softmax(logits / self.temperature, dim=-1)
        best = logits.detach().argmax(dim=-1, keepdim=True)
        hard = torch.zeros_like(soft).scatter(-1, best, 1.0)
        return (soft - soft.detach() + hard,)

    def edge(self, input_shape: Shape, stride: int) -> MixedOperation:
        """Makes the sampled candidate; the others have weight 0 and do not run."""
        return MixedOperation(self.choices.candidates(input_shape, stride), stride)

    def derive(self) -> Any:
        """Derives the architecture as DARTS does."""
        return self.choices.derive(self.alpha)

    def sample(self, n: int, generator: Generator) -> Tensor:
        """Samples as DARTS does, at temperature 1 whatever the epoch.

        The temperature belongs to the supernet's paths. Derivation looks at ``alpha`` itself, and
        at a high temperature the penalty's gradient would nearly vanish.
        """
        return self.choices.sample(n, generator, self.alpha)

    def probabilities(self) -> Tensor:
        """Returns the softmax of ``alpha``: the odds of each operation to be sampled."""
        return torch.softmax(self.alpha.detach(), dim=-1)

    def entropy(self) -> float:
        """Returns the mean entropy as in DARTS."""
        return mean_entropy(self.probabilities())
