"""Published mobile networks on every runtime that is ready: a table, a picture, their orders.

    python benchmarks/published_networks.py [--folder FOLDER] [--backend NAME ...]
        [--network NAME ...] [--page FILE] [--picture FILE] [--quick] [--json FILE]

Each network at the resolution that it was published at, batch 1, one thread, weights invented (no
time depends on them), every one timed twice in one campaign a backend, canary-paired. ``--folder``
keeps the stores, so that a run that was stopped goes on, and another backend can be added on
another day. ``--page`` rewrites the table of a page between its marks; a table of those that
``--network`` names has marks of its own. They are timed on compilers that take minutes for one
network, too, which run a few alone otherwise.

The orders that everybody reports (MobileNetV3-Small < MobileNetV2 < EfficientNet-B0 < ResNet-50)
are held against what was measured on each backend.
"""

from __future__ import annotations

import argparse
import re
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import altair as alt
from harness import Figure, Outcome, figure, main
from scipy.stats import kendalltau

from latbench.backends import list_backends, make_backend
from latbench.campaign import CampaignOptions, run_campaign
from latbench.progress import Bars, of_campaign
from latbench.report.picture import save_picture
from latbench.spaces import make_space
from latbench.store import Store
from latbench.timing.protocol import Protocol
from latbench.zoo.published_networks import network_names, published_entry, published_model

# All but most of those that were cut from one supernet or repeat one unit, which are alike.
NETWORKS = tuple(
    name
    for name in network_names()
    if not name.startswith(("ofa_", "spos_"))
    or name in ("ofa_min", "ofa_max", "ofa_pixel1_58", "ofa_pixel1_20")
)
ORDER = ("mobilenet_v3_small", "mobilenet_v2", "efficientnet_b0", "resnet50")
QUICK = ("mobilenet_v3_small", "mobilenet_v2", "fbnetv2_f1")
# Compilers that take minutes for one network run those that are compared, and one of them twice.
SLOW = {"torch-compile": ORDER, "executorch": ORDER}
MARKS = ("<!-- measured -->", "<!-- end of what was measured -->")
NAMED_MARKS = ("<!-- those that were named -->", "<!-- end of those that were named -->")


@dataclass
class Column:
    """What one backend gave: seconds by the network's name, and its noise floor."""

    backend: str
    version: str
    seconds: dict[str, float] = field(default_factory=dict)
    floor: float | None = None


def measure(
    folder: Path, name: str, version: str, networks: tuple[str, ...], quick: bool
) -> Column:
    """One backend's campaign."""
    backend = make_backend(name, threads=1)
    models = [published_model(n) for n in networks]
    protocol = Protocol(min_visits=4, max_visits=4) if quick else Protocol()
    # A store is of a space; here it has no architectures of it.
    with (
        Store(folder / f"{name}.sqlite", make_space("proxyless")) as store,
        Bars().bar(name) as step,
    ):
        outcome = run_campaign(
            store, backend, models=models, protocol=protocol,
            options=CampaignOptions(retest=0.25 if name in SLOW else 1.0, load_timeout_s=600),
            report=of_campaign(step),
        )  # fmt: skip
        column = Column(name, version)
        column.seconds = {
            model.name: value
            for model in models
            if (value := store.value(outcome.set_id, str(model))) is not None
        }
        column.floor = store.find_set(set_id=outcome.set_id).noise_floor
    return column


def figures_of(columns: list[Column]) -> list[Figure]:
    """Each latency, the floors, and whether the orders hold."""
    found = []
    for c in columns:
        found += [figure(f"{c.backend}: {n}", 1e3 * s, "ms", 2) for n, s in c.seconds.items()]
        if c.floor is not None:
            found.append(figure(f"{c.backend}: noise floor", 100 * c.floor, "%", len(c.seconds)))
        for a, b in pairwise(ORDER):
            if a in c.seconds and b in c.seconds:
                ratio = c.seconds[a] / c.seconds[b]
                found.append(figure(f"{c.backend}: {a} / {b}", ratio, "x", 2, at_most=1.0))
    for i, a in enumerate(columns):
        for b in columns[i + 1 :]:
            both = [n for n in a.seconds if n in b.seconds]
            if len(both) > 4:
                tau = kendalltau([a.seconds[n] for n in both], [b.seconds[n] for n in both])
                label = f"order of {a.backend} and {b.backend}"
                found.append(figure(label, float(tau.statistic), "Kendall", len(both)))
    return found


def table_of(columns: list[Column]) -> str:
    """A table in Markdown, the fastest network on the first backend first."""
    head = ["network", "pixels", "MACs", "parameters", *(c.backend for c in columns), "top-1"]
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    first = columns[0].seconds
    for name in sorted(first, key=first.__getitem__):
        entry = published_entry(name)
        network = entry.network()
        times = [f"{1e3 * c.seconds[name]:.2f}" if name in c.seconds else "–" for c in columns]
        top1 = f"{entry.accuracy.top1:.1f}" if entry.accuracy else "–"
        cells = [
            f"`{name}`", str(entry.resolution), f"{network.macs / 1e6:,.0f} M",
            f"{network.parameters / 1e6:.2f} M", *times, top1,
        ]  # fmt: skip
        lines.append("| " + " | ".join(cells) + " |")
    floors = [f"{100 * c.floor:.2f} %" if c.floor is not None else "–" for c in columns]
    lines.append("| **noise floor** | | | | " + " | ".join(floors) + " | |")
    versions = ", ".join(f"{c.backend} {c.version}" for c in columns)
    said = [
        f"Milliseconds, {time.strftime('%Y-%m-%d')}. {versions}.",
        *_orders(columns),
        *_sources(first),
    ]
    return "\n\n".join(["\n".join(lines), *said])


def _orders(columns: list[Column]) -> list[str]:
    """Where the order that everybody reports does not hold; nothing where it was not measured."""
    if not all(name in columns[0].seconds for name in ORDER):
        return []
    wrong = [
        f"`{a}` takes {c.seconds[a] / c.seconds[b]:.2f} times as long as `{b}` on {c.backend}"
        for c in columns
        for a, b in pairwise(ORDER)
        if a in c.seconds and b in c.seconds and c.seconds[a] >= c.seconds[b]
    ]
    order = " < ".join(f"`{name}`" for name in ORDER)
    if wrong:
        return [f"The order that everybody reports, {order}, does not hold: {'; '.join(wrong)}."]
    return [f"The order that everybody reports, {order}, holds on every backend."]


def _sources(names: Iterable[str]) -> list[str]:
    """Where the accuracies were read, once each with the networks."""
    found: dict[str, list[str]] = {}
    for name in names:
        accuracy = published_entry(name).accuracy
        if accuracy is not None:
            found.setdefault(accuracy.source, []).append(f"`{name}`")
    return ["Top-1 read in: " + "; ".join(f"{s} ({', '.join(n)})" for s, n in found.items()) + "."]


def picture_of(columns: list[Column]) -> alt.LayerChart:
    """Every network's latency on every backend, as points of one row."""
    rows = [
        {"network": name, "backend": c.backend, "ms": 1e3 * seconds}
        for c in columns
        for name, seconds in c.seconds.items()
    ]
    first = columns[0].seconds
    order = sorted(first, key=first.__getitem__)
    base = alt.Chart(alt.Data(values=rows)).encode(
        y=alt.Y("network:N", sort=order, title=None, axis=alt.Axis(labelLimit=300)),
        x=alt.X("ms:Q", title="latency, ms", scale=alt.Scale(type="log", nice=False)),
    )
    points = base.mark_point(filled=True, size=45, opacity=0.9).encode(
        color=alt.Color("backend:N", title=None), shape=alt.Shape("backend:N", title=None)
    )
    lines = base.mark_line(color="#8888", strokeWidth=1).encode(detail="network:N")
    return alt.layer(lines, points).properties(width=560, height=14 * len(order))


def write_page(page: Path, table: str, marks: tuple[str, str]) -> None:
    """Puts the table between the page's marks."""
    start, end = marks
    text = page.read_text(encoding="utf-8")
    pattern = re.compile(f"{re.escape(start)}.*?{re.escape(end)}", re.DOTALL)
    if not pattern.search(text):
        raise SystemExit(f"{page} has no {start} … {end}; add the two lines where the table stands")
    page.write_text(pattern.sub(lambda _: f"{start}\n\n{table}\n\n{end}", text), encoding="utf-8")


def add_options(parser: argparse.ArgumentParser) -> None:
    """The benchmark's own options."""
    parser.add_argument("--folder", type=Path, help="keep the stores here, and go on from them")
    parser.add_argument("--backend", action="append", help="this one only; repeatable")
    parser.add_argument("--network", action="append", help="this one only; repeatable")
    parser.add_argument("--page", type=Path, help="rewrite the table of this page")
    parser.add_argument("--picture", type=Path, help="save the picture there, PNG or SVG")


def benchmark(arguments: argparse.Namespace, quick: bool) -> Outcome:
    """All backends, one after the other."""
    ready = {name: found.version or "" for name, found in list_backends() if found.ready}
    wanted = arguments.backend or (("onnxruntime", "torch-eager") if quick else tuple(ready))
    missing = [name for name in wanted if name not in ready]
    if missing:
        raise SystemExit(f"{', '.join(missing)} cannot run here; ready: {', '.join(ready)}")
    columns = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for name in wanted:
            networks = tuple(arguments.network or (QUICK if quick else SLOW.get(name, NETWORKS)))
            columns.append(measure(folder, name, ready[name], networks, quick))
    columns.sort(key=lambda c: (-len(c.seconds), c.backend != "onnxruntime"))
    if arguments.page:
        marks = NAMED_MARKS if arguments.network else MARKS
        write_page(arguments.page, table_of(columns), marks)
    if arguments.picture:
        save_picture(picture_of(columns), arguments.picture)
    floors = [c.floor for c in columns if c.floor is not None]
    return Outcome(figures_of(columns), max(floors) if floors else None)


if __name__ == "__main__":
    main("Published networks on every runtime", benchmark, add_options)
