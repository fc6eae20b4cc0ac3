"""A page's machine and conditions are those of the measurements, whoever analyses them."""

from __future__ import annotations

import dataclasses
import platform
from pathlib import Path

import pytest
from stored import SPACE, make_set, row

from latbench.experiment.reporting import collect_store
from latbench.report import render
from latbench.report.from_datasets import machine_of, report_of
from latbench.store import Store

NODE7 = {"cpu": "Xeon", "host": "node7", "gpus": [{"name": "P100"}], "versions": {"torch": "1.2"}}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A store of two machines."""
    found = tmp_path / "s.sqlite"
    with Store(found, SPACE) as store:
        for machine in (NODE7, NODE7 | {"host": "node8"}):
            number = store.add_set(make_set(machine=machine, device=f"P100 of {machine['host']}"))
            for index in range(3):
                store.add(number, row(index))
            store.add(number, row(3, status="failed", estimate=None, visits=(), error="no"))
    return found


def test_the_machine_is_the_measured_one(path: Path) -> None:
    with Store(path) as store:
        first, second = (store.dataset(set_id=s.id) for s in store.sets())
    report = report_of("t", [(first, ())])
    assert report.machine == {"cpu": "Xeon", "host": "node7", "torch": "1.2"}
    (backend,) = report.backends
    assert backend.conditions["threads"] == 1
    assert backend.conditions["canary"].startswith("compute")
    assert {"version", "max_visits"} <= set(backend.conditions)
    assert backend.failed == 1
    page = render(report)
    assert "node7" in page
    assert f"<td>{platform.node()}</td>" not in page
    both = report_of("t", [(first, ()), (second, ())])
    assert both.machine == {"cpu": "Xeon", "host": "node7; node8", "torch": "1.2"}
    # The store's own page says the same.
    whole = collect_store(path)
    assert (whole.machine, whole.backends) == (both.machine, both.backends)


def test_failures_are_said_with_the_latency_only(path: Path) -> None:
    with Store(path) as store:
        size = store.dataset(set_id=1, metric="size")
    assert report_of("t", [(size, ())]).backends[0].failed == 0


def test_layers_without_a_kernel_are_said(tmp_path: Path) -> None:
    with Store(tmp_path / "s.sqlite", SPACE) as store:
        number = store.add_set(make_set())
        for index in range(3):
            store.add(number, row(index, fallbacks="Gelu by torch" if index else None))
        dataset = store.dataset()
    report = report_of("t", [(dataset, ())])
    told = "layers without a kernel of its own"
    assert report.backends[0].conditions[told] == "Gelu by torch (2\u00a0rows)"
    assert "Gelu by torch (2\u00a0rows)" in render(report)


def test_nothing_is_claimed_of_a_dataset_that_carries_no_conditions(path: Path) -> None:
    with Store(path) as store:
        bare = dataclasses.replace(store.dataset(set_id=1), conditions={})
    report = report_of("t", [(bare, ())])
    assert report.machine == {}
    assert report.backends[0].conditions == {}
    assert platform.node() not in render(report)


def test_machines_that_differ_stand_beside_each_other() -> None:
    assert machine_of([]) == {}
    assert machine_of([{"cores": 2}, {"cores": 4, "turbo": "on"}, {"cores": 2}]) == {
        "cores": "2; 4", "turbo": "on",
    }  # fmt: skip
