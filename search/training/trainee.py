"""A network in training: with drop path and an auxiliary head, which the trained network lacks.

Both hang on layers of the exported module by torch's hooks, so the network, its exporter and its
weights know nothing of them. As published (quark0/darts, cnn/model.py and cnn/utils.py).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from latbench.errors import UsageError
from latbench.export.torch import NetworkModule
from latbench.networks.blocks import RELU, classifier
from latbench.networks.network import Network, NetworkBuilder
from latbench.networks.ops import BatchNorm, Conv, Pool, Shape
from latbench.search.config import TrainConfig
from latbench.spaces import AnySpace
from latbench.spaces.landmarks import Landmarks


def auxiliary_head(input_shape: Shape, classes: int, imagenet: bool) -> Network:
    """Makes the second classifier: pooling, a 1x1 and a 2x2 convolution, one linear layer.

    It is published for 8 x 8 inputs (CIFAR) and 7 x 7 (ImageNet). Raises UsageError below.
    """
    stride = 2 if imagenet else 3
    least = 5 + stride
    if min(input_shape[2:]) < least:
        raise UsageError(
            f"the auxiliary head needs {least} x {least} pixels after the second reduction, got "
            f"{input_shape[2]} x {input_shape[3]}; use images four times as large, or auxiliary = 0"
        )
    b = NetworkBuilder(input_shape)
    x = b.add(Pool("avg", 5, stride), b.add(RELU, b.input))
    x = b.add(RELU, b.add(BatchNorm(), b.add(Conv(128, 1), x)))
    x = b.add(Conv(768, 2), x)
    x = b.add(RELU, x if imagenet else b.add(BatchNorm(), x))
    return b.build(classifier(b, x, classes))


class _DropPath:
    """Leaves edges out of single images' passes, and scales what is kept to the same mean."""

    def __init__(self, module: NetworkModule, edges: tuple[int, ...]) -> None:
        self.probability, self.stream = 0.0, Generator()
        self.factors = torch.empty(0)
        self.edges = len(edges)
        module.register_forward_pre_hook(self._draw)
        for row, edge in enumerate(edges):
            module.layers[str(edge)].register_forward_hook(
                lambda layer, _, output, row=row: self._scaled(layer, output, row)
            )

    def _draw(self, module: nn.Module, inputs: tuple[Tensor]) -> None:
        """All edges' factors at once, which on a GPU is one transfer."""
        if module.training and self.probability > 0:
            keep = 1 - self.probability
            kept = torch.rand(self.edges, len(inputs[0]), 1, 1, 1, generator=self.stream) < keep
            self.factors = (kept.float() / keep).to(inputs[0].device)

    def _scaled(self, layer: nn.Module, output: Tensor, row: int) -> Tensor | None:
        if not layer.training or self.probability == 0:
            return None
        return output * self.factors[row].to(output.dtype)


def check_trainable(space: AnySpace, config: TrainConfig) -> None:
    """Raises UsageError where what a search of a space finds could not be trained as ``config``
    asks for, told by the space's reference architecture."""
    if config.drop_path or config.auxiliary:
        reference = space.reference()
        Trainee(space.build(reference), config, space.landmarks(reference))


class Trainee(nn.Module):
    """A trainee: ``network`` with what ``config`` asks for beside it.

    Weights are fresh, from torch's global generator, the network's first. Raises UsageError when
    drop path or an auxiliary head is asked for without landmarks, or the images are too small.
    """

    def __init__(
        self, network: Network, config: TrainConfig, places: Landmarks | None = None
    ) -> None:
        super().__init__()
        self.network = NetworkModule(network)
        self.config = config
        self.head: NetworkModule | None = None
        self._drop_path: _DropPath | None = None
        self._seen: list[Tensor] = []
        if not (config.drop_path or config.auxiliary):
            return
        if places is None:
            raise UsageError(
                "drop path and the auxiliary head need the network's landmarks, which this space "
                "does not state; give them to train, or set drop_path and auxiliary to 0"
            )
        if config.drop_path:
            self._drop_path = _DropPath(self.network, places.edges)
        if config.auxiliary:
            shape, classes = network.layers[places.auxiliary].shape, network.output_shape[1]
            self.head = NetworkModule(auxiliary_head(shape, classes, places.imagenet))
            self.network.layers[str(places.auxiliary)].register_forward_hook(
                lambda layer, _, output: self._seen.append(output) if layer.training else None
            )

    def begin_epoch(self, epoch: int, stream: Generator) -> None:
        """Moves drop path on; it draws from ``stream``."""
        if self._drop_path is not None:
            self._drop_path.probability = self.config.drop_path * epoch / self.config.epochs
            self._drop_path.stream = stream

    def loss(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the training loss with the auxiliary head's, and the network's logits."""
        smoothing = self.config.label_smoothing
        self._seen.clear()
        logits = self.network(images)
        loss = F.cross_entropy(logits, labels, label_smoothing=smoothing)
        if self.head is not None:
            second = self.head(self._seen.pop())
            more = F.cross_entropy(second, labels, label_smoothing=smoothing)
            loss = loss + self.config.auxiliary * more
        return loss, logits
