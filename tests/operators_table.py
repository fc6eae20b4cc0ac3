"""The table of docs/operators-of-backends.md: which layer kinds each backend runs.

``python tests/operators_table.py`` writes it; a test holds the page against it. LiteRT, ncnn and
simd-sparse are asked, by exporting a network of each kind.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from general_cases import cases, weights_of
from strategies import OPS

from latbench.errors import BackendError
from latbench.export.ncnn_model import to_ncnn
from latbench.models.network_json import KNOWN
from latbench.networks.network import Network, NetworkBuilder
from latbench.networks.ops import Activation, Concat, Elementwise, Linear
from latbench.networks.weights import Weights
from latbench.sparse.program import program_of

PAGE = Path(__file__).resolve().parents[1] / "docs" / "operators-of-backends.md"
_BEGIN, _END = "<!-- table: python tests/operators_table.py -->", "<!-- end of the table -->"
_LEFT_OUT = ("Input", "Constant", "Unread")
# What tests/backends and a comparison of all cases with torch found (2026-12-01).
_EXECUTORCH = {"Softmax": "yes, but for the last axis of what a convolution gives"}


def _networks() -> Iterator[Network]:
    yield from (network for _, network in cases())
    for op in OPS:
        b = NetworkBuilder((1, 4, 7, 6))
        yield b.build(b.add(op, b.input))
    b = NetworkBuilder((1, 5))
    yield b.build(b.add(Linear(3), b.input))
    for joined in (Concat(), Elementwise("add"), Elementwise("mul")):
        b = NetworkBuilder((1, 4, 7, 6))
        yield b.build(b.add(joined, b.input, b.add(Activation(), b.input)))


def _label(network: Network, index: int) -> str:
    """The name of a layer's kind, with its variant where that matters."""
    op = network.layers[index].op
    kind = getattr(op, "kind", "")
    return f"{type(op).__name__}:{kind}" if kind else type(op).__name__


def _litert(network: Network, weights: Weights) -> None:
    from latbench.export.tflite import to_tflite

    to_tflite(network, weights)


def _ran(labels: dict[str, list[bool]], label: str, runs: bool) -> None:
    labels.setdefault(label, []).append(runs)


def _asked() -> tuple[dict[str, list[bool]], dict[str, list[bool]], dict[str, list[bool]]]:
    """Whether each kind of layer was taken, by LiteRT, ncnn, and simd-sparse's own kernels."""
    litert, ncnn, sparse = (dict[str, list[bool]]() for _ in range(3))
    for network in _networks():
        weights = weights_of(network)
        own = _computed_by_torch(network, weights)
        last = [i for i in range(len(network.layers)) if i not in network.inputs]
        for i in last:
            if _label(network, i) not in _LEFT_OUT:
                _ran(sparse, _label(network, i), i not in own)
        alone = [i for i in last if _label(network, i) not in _LEFT_OUT]
        for found, export in ((litert, _litert), (ncnn, to_ncnn)):
            try:
                export(network, weights)
                for i in alone:
                    _ran(found, _label(network, i), runs=True)
            except BackendError as error:
                at = str(error).partition("which layer ")[2].partition(" ")[0]
                _ran(found, _label(network, int(at) if at else alone[-1]), runs=False)
    return litert, ncnn, sparse


def _computed_by_torch(network: Network, weights: Weights) -> set[int]:
    program = program_of(network, weights)
    return {i for step in program.foreign for i in program.steps[step].layers}


def _cell(found: dict[str, list[bool]], kind: str, no: str = "no") -> str:
    of_kind = {label: runs for label, runs in found.items() if label.partition(":")[0] == kind}
    never = [label.partition(":")[2] for label, runs in of_kind.items() if not any(runs)]
    if len(never) == len(of_kind):
        return no
    if never:
        return f"yes, but for {', '.join(f'`{name}`' for name in sorted(never))}"
    return "yes" if all(all(runs) for runs in of_kind.values()) else "in part"


def table() -> str:
    """Returns the table."""
    litert, ncnn, sparse = _asked()
    lines = [
        "| layer kind | `litert` | `ncnn` | `executorch` | `simd-sparse` |",
        "|---|---|---|---|---|",
    ]
    for kind in sorted(kind.__name__ for kind in KNOWN):
        if kind not in _LEFT_OUT:
            own = _cell({k: [any(runs)] for k, runs in sparse.items()}, kind, no="torch")
            cells = [_cell(litert, kind), _cell(ncnn, kind), _EXECUTORCH.get(kind, "yes"), own]
            lines.append(f"| `{kind}` | {' | '.join(cells)} |")
    return "\n".join(lines)


def write() -> None:
    """Writes the table into the page."""
    text = PAGE.read_text()
    before, after = text.partition(_BEGIN)[0], text.partition(_END)[2]
    PAGE.write_text(f"{before}{_BEGIN}\n\n{table()}\n\n{_END}{after}")


if __name__ == "__main__":
    write()
