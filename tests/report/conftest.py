"""Plausible made-up report data. The figures are not measurements."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from latbench.results import (
    BackendResult,
    CurvePoint,
    PredictorResult,
    ReportData,
    SearchEpoch,
    SearchResult,
)
from latbench.spaces import darts, nasbench201

Floats = npt.NDArray[np.float64]
SIGMAS = {"mlp": 0.018, "lightgbm": 0.026, "linear": 0.05, "FLOPs": 0.19}


def _metrics(truth: Floats, guess: Floats) -> dict[str, tuple[float, float, float]]:
    error = np.abs(guess / truth - 1)
    values = {
        "mape": float(error.mean()),
        "rmse": float(np.sqrt(np.mean((guess - truth) ** 2))),
        "within_5": float((error < 0.05).mean()),
        "within_10": float((error < 0.1).mean()),
        "spearman": 1 - 2 * float(error.mean()),
        "kendall": 1 - 5 * float(error.mean()),
    }
    return {k: (v, 0.93 * v, min(1.07 * v, 1.0) if k != "rmse" else 1.07 * v)
            for k, v in values.items()}  # fmt: skip


def _predictor(name: str, truth: Floats, rng: np.random.Generator) -> PredictorResult:
    guess = truth * np.exp(rng.normal(0, SIGMAS[name], truth.size))
    curve = tuple(
        CurvePoint(n, tuple(SIGMAS[name] * (1 + 20 / n) * k for k in (0.9, 1.0, 1.2)))
        for n in (10, 20, 50, 100, 200)
    )
    return PredictorResult(name, tuple(guess.tolist()), _metrics(truth, guess), curve=curve)


def make_backend(name: str, device: str, architectures: tuple[str, ...], scale: float,
                 seed: int = 0, noise_floor: float | None = 0.013) -> BackendResult:  # fmt: skip
    rng = np.random.default_rng(seed)
    base = np.exp(np.random.default_rng(7).normal(0, 0.32, len(architectures)))
    truth = scale * (0.4 + base) * np.exp(rng.normal(0, 0.06, base.size))
    predictors = tuple(_predictor(n, truth, rng) for n in SIGMAS)
    conditions = {
        "precision": "float32",
        "batch": 1,
        "threads": {"intra": 4, "inter": 1},
        "versions": {"onnxruntime": "1.23.2", "torch": "2.13.0"},
        "protocol": {"visits": 3, "target_half_width": 0.01, "warm_up_s": 0.5},
    }
    return BackendResult(name, device, architectures, tuple(truth.tolist()), noise_floor,
                         predictors, failed=3 if seed else 0, conditions=conditions)  # fmt: skip


def history(
    epochs: int, penalty: float, seed: int, derived: tuple[str, ...] = ()
) -> tuple[SearchEpoch, ...]:
    """A course; ``derived`` are spread over its epochs."""
    rng = np.random.default_rng(seed)
    done = []
    for i in range(epochs):
        t = 1 - math.exp(-3.5 * i / epochs)
        train = 0.35 + (0.62 - 0.03 * penalty) * t + rng.normal(0, 0.006)
        validation = 0.34 + (0.55 - 0.03 * penalty) * t + rng.normal(0, 0.01)
        expected = 0.021 * (1 - 0.35 * penalty * t) + rng.normal(0, 0.0001)
        architecture = derived[i * len(derived) // epochs] if derived else ""
        entropy = 1.95 - 1.2 * t * (i / epochs)
        done.append(
            SearchEpoch(i + 1, train, validation, expected, entropy, architecture=architecture)
        )
    return tuple(done)


def make_search(label: str, penalty: float, architecture: str, measured: float | None,
                accuracy: float | None, seed: int = 0,
                backend: str = "onnxruntime",
                derived: tuple[str, ...] = ()) -> SearchResult:  # fmt: skip
    predicted, course = 1.021 * (measured or 0.0171), history(50, penalty, seed, derived)
    return SearchResult(label, backend, penalty, architecture, course, predicted,
                        measured, accuracy, 3_349_342, 538_000_000)  # fmt: skip


def architectures(space: str, n: int) -> tuple[str, ...]:
    made = darts() if space == "darts" else nasbench201()
    return tuple(str(a) for _, a in made.unique_samples(3, n))


def make_report(n: int = 480, space: str = "darts") -> ReportData:
    names = architectures(space, n)
    backends = (
        make_backend("onnxruntime", "AMD EPYC 7B13", names, 0.0141, 0),
        make_backend("torch-eager", "AMD EPYC 7B13", names[: n * 3 // 4], 0.0293, 1, 0.021),
    )
    searches = (
        make_search("no penalty, seed 0", 0.0, names[0], 0.0198, 0.981, 1, derived=names[6:9]),
        make_search("no penalty, seed 1", 0.0, names[1], 0.0203, 0.979, 2),
        make_search("penalty 0.5, seed 0", 0.5, names[2], 0.0157, 0.979, 3),
        make_search("penalty 0.5, seed 1", 0.5, names[3], 0.0161, 0.977, 4),
        make_search("penalty 1, seed 0", 1.0, names[4], None, 0.97, 5),
    )
    return ReportData(
        "DARTS latency on one CPU", "2026-01-05 14:12 UTC",
        f"{space}(channels=16, cells=8, classes=10, resolution=32)",
        {"CPU": "AMD EPYC 7B13, 2 cores", "Memory": "8 GiB", "System": "Linux 6.1, Debian 12",
         "Python": "3.11.2"},
        backends, searches,
        ("The machine is shared; each timing is divided by a canary's.",
         "These values are made up for a test."),
    )  # fmt: skip


@pytest.fixture
def report() -> ReportData:
    return make_report(120)


@pytest.fixture
def report_of() -> Callable[[int], ReportData]:
    return make_report


@pytest.fixture
def search_of() -> Callable[..., SearchResult]:
    return make_search


@pytest.fixture
def backend_of() -> Callable[..., BackendResult]:
    return make_backend
