"""The layers of a network that a runtime's kernels compute, by the names that exporters give nodes.

A runtime times its own kernels, and calls them after nodes of the graph that it was given, not all
of them: ``t3_nchwc`` of ONNX Runtime is the convolution before ``t3``, its batch norm and ``t3``
itself. ``kernel_layers`` finds where the layers are that no kernel is called after:

- A layer that does what another one did (``latbench.networks.optimisation``) is where that is.
- A convolution, a pool or another layer that does work, with all behind it up to the next layer
  that a kernel is called after, is in that kernel: the kernel has taken over its name from there.
- Any other layer (a batch norm, an activation, a sum) is in the kernel of what it reads, and of
  several in the one that runs last, which alone has all of it.
"""

from __future__ import annotations

import math
import re
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

from latbench.errors import BackendError
from latbench.networks.network import Layer, Network
from latbench.networks.ops import BatchNorm, Concat, Flatten
from latbench.networks.optimisation import merged

# "t3", and "output" or "output_1" of what the network gives, in names such as "fused t3",
# "t3_nchwc" and "t3.share", also with the "_" that keeps them apart from the names of inputs; not
# the "t2" behind an underscore, by which a runtime says where a conversion leads.
_NAMES = re.compile(
    r"(?<![A-Za-z0-9_])(?:t_*(?P<number>\d+)|output(?:_(?P<place>\d+))?)(?![A-Za-z0-9])"
)


@dataclass(frozen=True)
class KernelTime:
    """A kernel of a runtime, and what it took in a run of a network.

    ``name`` is the runtime's; ``layers`` are the indices of the network's layers that it computes,
    none for what is the runtime's own, such as a conversion of a layout. ``seconds`` are those of
    one run.
    """

    name: str
    layers: tuple[int, ...]
    seconds: float


def named_layers(text: str, network: Network) -> frozenset[int]:
    """Returns the layers whose nodes a runtime names in a text, by the names of
    ``latbench.export.onnx`` and ``latbench.importing.node_names``."""
    outputs, layers = network.outputs, set[int]()
    for match in _NAMES.finditer(text):
        if match["number"] is not None:
            layers.add(int(match["number"]))
        elif (place := int(match["place"] or 0)) < len(outputs):
            layers.add(outputs[place])
    return frozenset(layers & set(range(len(network.layers))) - set(network.inputs))


def kernels_of(
    network: Network,
    timed: Iterable[tuple[str, Collection[int], float]],
    shown: Callable[[str], str] = str,
) -> list[KernelTime]:
    """Returns what a runtime timed as its kernels with all layers that they compute.

    Kernels of one layer, as where two nodes stand for it, are one.

    Args:
        network: The network.
        timed: The kernels in the order in which they run: the runtime's name, the layers that they
            are called after, and the seconds of one run.
        shown: What makes the names that people see of the runtime's.

    Returns:
        The kernels in their order. Every layer that reads another is in exactly one of them, unless
        no kernel is called after any.
    """
    kernels: list[tuple[str, frozenset[int], float]] = []
    for name, layers, seconds in timed:
        named = frozenset(layers) - {*network.inputs}
        for shared in [k for k in kernels if named & k[1]]:
            kernels.remove(shared)
            name, named = f"{shared[0]} + {name}", named | shared[1]
            seconds += shared[2]
        kernels.append((name, named, seconds))
    found = kernel_layers(network, [named for _, named, _ in kernels])
    return [
        KernelTime(shown(name), layers, seconds)
        for (name, _, seconds), layers in zip(kernels, found, strict=True)
    ]


def kernel_layers(network: Network, named: Sequence[Collection[int]]) -> list[tuple[int, ...]]:
    """Returns all layers that each kernel computes.

    ``named`` are those that the kernels are called after, none in two of them, in the order in
    which the kernels run; none for what is the runtime's own. See the module for the rules.
    """
    search = _Search(network, {i: kernel for kernel, own in enumerate(named) for i in own})
    search.work()
    search.rest()
    of: list[list[int]] = [[] for _ in named]
    for i, first in enumerate(search.first):
        kernel = search.named.get(i, search.kernel.get(first))
        if kernel is not None:
            of[kernel].append(i)
    return [tuple(layers) for layers in of]


class _Search:
    """A search for the kernels of layers that none is called after. Equal layers are one here, the
    first of them."""

    def __init__(self, network: Network, named: dict[int, int]) -> None:
        self.layers, self.named = network.layers, named
        self.first = merged(network)
        self.kernel: dict[int, int] = {}
        for i, kernel in sorted(named.items()):
            self.kernel.setdefault(self.first[i], kernel)
        inputs = network.inputs
        self.own = sorted({*self.first} - {*inputs})
        self.reads = {i: [self.first[j] for j in self.layers[i].inputs] for i in self.own}
        self.readers: dict[int, list[int]] = {i: [] for i in (*inputs, *self.own)}
        for i in self.own:
            for j in dict.fromkeys(self.reads[i]):
                self.readers[j].append(i)

    def work(self) -> None:
        """Puts layers that do work where the way forward leads."""
        for i in self.own:
            if i not in self.kernel and _works(self.layers[i]):
                self._forward(i)

    def rest(self) -> None:
        """Puts all others where the last of what they read is."""
        for i in self.own:
            if i not in self.kernel:
                before = [self.kernel[j] for j in self.reads[i] if j in self.kernel]
                if before:
                    self.kernel[i] = max(before)
                else:
                    self._forward(i)

    def _forward(self, start: int) -> None:
        """Puts a layer, and those on the shortest way, in the kernel of the next one that is in
        one."""
        came: dict[int, int | None] = {start: None}
        queue = deque([start])
        while queue:
            i: int | None = queue.popleft()
            if i in self.kernel:
                kernel = self.kernel[i]
                while i is not None:
                    self.kernel[i] = kernel
                    i = came[i]
                return
            assert i is not None
            for reader in self.readers[i]:
                if reader not in came:
                    came[reader] = i
                    queue.append(reader)


def _works(layer: Layer) -> bool:
    """Whether a layer does work that its kernel is there for; the others are done in passing."""
    return not (layer.op.elementwise or isinstance(layer.op, BatchNorm | Concat | Flatten))


def check_kernels(network: Network, kernels: Sequence[KernelTime]) -> None:
    """Raises BackendError unless every layer is in exactly one kernel, and all times are positive.

    Inputs are in none, and constants, which no kernel has to compute, need not be in one.
    """
    for kernel in kernels:
        if not (math.isfinite(kernel.seconds) and kernel.seconds > 0):
            raise BackendError(
                f"its profile says {kernel.seconds} seconds for the kernel {kernel.name!r}; times "
                "must be positive"
            )
    found = Counter(i for kernel in kernels for i in kernel.layers)
    first, last = len(network.inputs), len(network.layers) - 1
    free = {i for i in range(first, last + 1) if not network.layers[i].inputs}
    expected = Counter(range(first, last + 1))
    for wrong in sorted(i for i in {*found, *expected} if found[i] != expected[i]):
        if wrong not in free or found[wrong] > 1:
            raise BackendError(
                f"its profile has the layer {wrong} in {found[wrong]} kernels, of a network whose "
                f"layers are {first} to {last}; every layer must be in exactly one "
                "(latbench.export.kernel_layers finds fused ones)"
            )
