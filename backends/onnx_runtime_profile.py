"""ONNX Runtime's profile of a session, read as what each node takes and which layers it is of.

https://onnxruntime.ai/docs/performance/tune-performance/profiling-tools.html

A node's name is that of a node of our graph, also where others were fused into it. Nodes have none
where ONNX Runtime has put the definition of an operator in its place (HardSwish is a HardSigmoid
and a Mul), and names of their own where it has found one operator in several (Gelu): these are
known by what they write, which the graph says that it ran.
"""

from __future__ import annotations

from collections import defaultdict, deque
from pathlib import Path
from typing import Any

from latbench.backends.base import typical
from latbench.errors import BackendError
from latbench.export.kernel_layers import named_layers
from latbench.networks.network import Network

WARM_UP_RUNS = 2  # of a session that profiles; the first one allocates
_KERNEL = "_kernel_time"  # behind a node's name
_CONVERTED = "InsertedPrecisionFreeCast_"  # before a name, where a file is of float16
# ONNX Runtime's own, where they are not called after a layer.
_CONVERSIONS = ("ReorderInput", "ReorderOutput", "Transpose", "Cast")
_GRAPH, _WEIGHTS = "graph.onnx", "weights.bin"

Node = tuple[str, str]  # a node's index in ONNX Runtime's graph, or its name, and the other one


def set_profile(options: Any, folder: Path) -> None:
    """Has a session write its profile, and the graph that it runs, into a folder."""
    options.enable_profiling, options.profile_file_prefix = True, str(folder / "profile")
    options.optimized_model_filepath = str(folder / _GRAPH)
    # Beside the graph, whose size is limited; they go with the folder.
    for key, value in (("file_name", _WEIGHTS), ("min_size_in_bytes", "1024")):
        options.add_session_config_entry(
            f"session.optimized_model_external_initializers_{key}", value
        )


def node_times(
    events: list[dict[str, Any]], n: int, network: Network, folder: Path
) -> list[tuple[str, frozenset[int], float]]:
    """Returns the name of each node in the order of execution, the layers that it names, and what
    it takes in seconds.

    The clock counts whole microseconds, and half of one is added, what it cuts off on average.

    Args:
        events: The events of a profile of ``WARM_UP_RUNS + n`` runs.
        n: How many of the last runs count.
        network: The network.
        folder: The folder that ``set_profile`` was given.

    Returns:
        The nodes.

    Raises:
        BackendError: When a node was not run once in every run.
    """
    times: dict[Node, list[float]] = defaultdict(list)
    operators: dict[Node, str] = {}
    for event in events:
        if event["cat"] == "Node" and event["name"].endswith(_KERNEL):
            node = (event["args"]["node_index"], event["name"].removesuffix(_KERNEL))
            operators[node] = event["args"]["op_name"]
            times[node].append(event["dur"] + 0.5)
    if {len(of) for of in times.values()} != {WARM_UP_RUNS + n}:
        raise BackendError("its profile does not have every node once in every run")
    layers = {
        node: named_layers(_given_name(node[1], op), network) for node, op in operators.items()
    }
    named = {node for node, own in layers.items() if own}
    if named != set(times):
        written = _written(folder / _GRAPH, network)
        for node, op in operators.items():
            # ONNX Runtime calls a node without a name after its operator and its index.
            nameless = node[1] == f"{op}_{node[0]}"
            found = written["" if nameless else node[1], op]
            if found and node not in named and (nameless or op not in _CONVERSIONS):
                layers[node] = found.popleft()
    # What is not called after a layer has another number in every session.
    names = {
        node: f"{op} {_given_name(node[1], op)}" if node in named else op
        for node, op in operators.items()
    }
    seconds = {node: 1e-6 * typical(of[WARM_UP_RUNS:]) for node, of in times.items()}
    return [(names[node], layers[node], seconds[node]) for node in times]


def _given_name(name: str, operator: str) -> str:
    """A node's name without what it has after a result that is kept in float32; a conversion that
    was put in for that is called after nothing."""
    before, converted, after = name.partition(_CONVERTED)
    if not converted or before:
        return name
    return "" if operator == "Cast" else after


def _written(path: Path, network: Network) -> dict[Node, deque[frozenset[int]]]:
    """The layers that nodes are of, by their names and operators, in the graph's order: that of
    what it writes, and for one without a name of the next node that writes one."""
    import onnx

    graph = onnx.load(str(path), load_external_data=False).graph
    readers = {name: node for node in reversed(graph.node) for name in node.input}
    found: dict[Node, deque[frozenset[int]]] = defaultdict(deque)
    for node in graph.node:
        at = node
        while not (layers := named_layers(" ".join((*at.output, at.name)), network)):
            if node.name or (following := readers.get(at.output[0])) is None:
                break
            at = following
        found[node.name, node.op_type].append(layers)
    return found
