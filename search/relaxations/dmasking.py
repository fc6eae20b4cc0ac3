"""The relaxation of DMaskingNAS (Wan et al., FBNetV2, 2020, https://arxiv.org/abs/2004.05565).

Every width that a layer may have is a mask on the channels of one convolution: channel c is there
with the odds of all widths above c, a falling staircase (section 3.1). The masks themselves are the
space's (``latbench.search.supernets.mixed``), behind batch norm and activation; what is left to a
relaxation is FBNet's Gumbel-softmax over the options of every variable. The resolution can be mixed
as in the paper (section 3.2, see ``latbench.search.supernets.resolutions``) or, which is ours, be
drawn: a pass then costs what its resolution costs.
"""

from __future__ import annotations

from typing import ClassVar, final

import torch
from torch import Generator, Tensor

from latbench.search.relaxations.fbnet_relaxation import FBNetRelaxation
from latbench.spaces import AnySpace
from latbench.spaces.supernet import resolution_of

MEMORY = 0.9  # of the mean loss that a drawn resolution is compared with; ours


@final
class DMaskingRelaxation(FBNetRelaxation):
    """A relaxation that mixes the options of each variable as FBNet's does, and of a resolution
    draws one, or mixes them as well.

    A drawn resolution has the odds of its logits. Its loss has no gradient by them, so that they
    learn by the score function (Williams, 1992, REINFORCE): (loss - mean loss) times the gradient
    of the logarithm of the odds, whose mean is the gradient of the expected loss.
    """

    name: ClassVar[str] = "dmasking"
    mean_loss: Tensor

    def __init__(
        self, space: AnySpace, generator: Generator, temperature: float = 5.0,
        decay: float | None = None, drawn: bool = True,
    ) -> None:  # fmt: skip
        super().__init__(space, generator, temperature, decay)
        name = resolution_of(space.supernet(), space.name) if drawn else None
        self._resolution = None if name is None else space.forest.index[name]
        self._drawn = 0
        # In a checkpoint: what comes next depends on it. Not a number before the first loss.
        self.register_buffer("mean_loss", torch.tensor(torch.nan))

    def subgraphs(self, generator: Generator) -> tuple[Tensor]:
        """Returns one sub-graph: the Gumbel-softmax of each row, of a resolution that is drawn the
        option with the largest noisy logit."""
        (weights,) = super().subgraphs(generator)
        if self._resolution is None:
            return (weights,)
        first, end = self.space.forest.offsets[self._resolution : self._resolution + 2]
        row = weights.detach()[first:end]
        self._drawn = int(row.argmax())
        one = torch.zeros_like(row).index_fill(0, row.argmax(), 1.0)
        return (torch.cat([weights[:first], one, weights[end:]]),)

    def credit(self, loss: Tensor) -> Tensor | None:
        """Returns what teaches the logits of a drawn resolution."""
        if self._resolution is None:
            return None
        mean = loss if bool(self.mean_loss.isnan()) else self.mean_loss.clone()
        self.mean_loss.copy_(MEMORY * mean + (1 - MEMORY) * loss)
        row = self.alpha[self.tables.rows[self._resolution]]
        return (loss - mean) * torch.log_softmax(row, dim=0)[self._drawn]
