"""An ONNX file with nodes that are called after the layers of its network, for a runtime's profile.

A runtime names its kernels after the nodes that it was given, and changes these names: it puts
words before and behind them, and joins those of fused nodes. Files call nodes as they like, or not
at all. In a copy the node 7 that became the layers 3 and 4 is ``t3.t4.n7``, which
``latbench.export.kernel_layers`` finds in a kernel's name, and ``NodeNames`` gives back what the
file calls it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from onnx import AttributeProto

from latbench.errors import BackendError
from latbench.importing.fixed_shapes import network_inputs
from latbench.importing.graph_reader import GraphReader
from latbench.importing.inventing import weights_among_inputs
from latbench.importing.onnx_file import parsed
from latbench.importing.reading import RULES
from latbench.networks.network import Network

_OURS = re.compile(r"(?<![A-Za-z0-9_.])(?:t\d+\.)*n(\d+)(?:\.\d+)?(?![A-Za-z0-9])")
_GRAPHS = (AttributeProto.GRAPH, AttributeProto.GRAPHS)


@dataclass(frozen=True)
class NodeNames:
    """The file with other names, and the nodes' names in it before."""

    source: bytes
    nodes: tuple[str, ...]

    def shown(self, text: str) -> str:
        """Returns a kernel's name with the file's names of its nodes."""
        return _OURS.sub(lambda found: self._node(int(found[1])) or found[0], text)

    def _node(self, index: int) -> str:
        return self.nodes[index] if index < len(self.nodes) else ""


def named_after_layers(source: bytes, network: Network) -> NodeNames:
    """Names the nodes and the values of a file anew, by the layers that each node became.

    Args:
        source: The file, as ``Imported`` has it: every size is fixed, every weight is there.
        network: Its network.

    Returns:
        The file, which computes the same under new names, and the old ones.

    Raises:
        BackendError: For a file with graphs inside of operators, and one that is not the network's.
    """
    file = parsed(source, "the model's ONNX file")
    graph = file.model.graph
    inner = next((n for n in graph.node if any(a.type in _GRAPHS for a in n.attribute)), None)
    if inner is not None:
        raise BackendError(
            f"an ONNX file with the operator {inner.op_type} cannot be profiled, since runtimes "
            "time the operators inside of it as well; leave it out of the file"
        )
    inputs, _ = network_inputs(file, {}, weights_among_inputs(file))
    reader = GraphReader(file, inputs, RULES)
    if reader.read()[0] != network:
        raise BackendError(
            "the model's ONNX file is not that of its network, so that nobody knows which layers "
            "its nodes are; read it again by Model.from_onnx"
        )
    called = {
        value.name: f"given.{i}" for i, value in enumerate((*graph.input, *graph.initializer))
    }
    before = []
    for k, (node, layers) in enumerate(zip(graph.node, reader.node_layers(), strict=True)):
        before.append(node.name or next(filter(None, node.output), ""))
        node.name = ".".join((*(f"t{i}" for i in layers), f"n{k}"))
        called |= {name: f"{node.name}.{i}" for i, name in enumerate(node.output) if name}
        for names in (node.input, node.output):
            names[:] = [called[name] if name else "" for name in names]
    for value in (*graph.input, *graph.initializer, *graph.output, *graph.value_info):
        value.name = called[value.name]
    del graph.quantization_annotation[:]
    return NodeNames(file.model.SerializeToString(), tuple(before))
