"""What a notebook calls: measure, fit, compare. Each is what the command of its name does.

They only put together what the packages define; ``docs/python.md`` shows them at work.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from latbench.backends import Backend, backend_spec, make_backend
from latbench.campaign import CampaignOptions, run_campaign
from latbench.cli.bars import Bars, campaign
from latbench.cli.comparison import cross_validate
from latbench.dataset import LatencyDataset
from latbench.errors import UsageError, quoted
from latbench.predictors import PREDICTORS, make_predictor
from latbench.protocol import Protocol
from latbench.report.compared import report_of
from latbench.report.data import ReportData
from latbench.spaces import AnySpace, parse_space
from latbench.store import Store

if TYPE_CHECKING:
    from latbench.predictors.base import LatencyPredictor
    from latbench.predictors.model import LatencyModel

STORE = "latbench.sqlite"


def measure(
    space: AnySpace | str,
    backend: Backend | str = "onnxruntime",
    *,
    n: int = 200,
    seed: int = 0,
    architectures: Sequence[Any] = (),
    store: str | Path = STORE,
    protocol: Protocol | None = None,
    options: CampaignOptions | None = None,
    retry_failed: bool = False,
    progress: bool = True,
) -> Store:
    """Times the first ``n`` architectures of ``seed``'s sample on a backend; the open store.

    Close it (or use it as a context manager) when you are done with it; its file is whole before.
    ``architectures`` (values of the space, or their texts) are measured instead of a sample.
    ``backend`` is a name, or one with options: ``latbench.backends.make_backend(name, threads=1)``.
    ``store`` is a SQLite file, made in the working directory unless it is there. Rows that it has
    are left alone, so the same call goes on where it stopped; an interrupt (Ctrl-C, or a notebook's
    stop button) is passed on and loses no finished row. ``progress`` shows a bar.

    Warns (UserWarning) of rows that failed. Raises UsageError for a bad argument,
    BackendUnavailable when the backend cannot run here, SpaceMismatchError when the store is of
    another space.
    """
    chosen = parse_space(space) if isinstance(space, str) else space
    timed = make_backend(backend) if isinstance(backend, str) else backend
    named = [chosen.parse(a) if isinstance(a, str) else a for a in architectures]
    if not named and n < 1:
        raise UsageError(f"n must be 1 or more, got {n}; or name architectures")
    opened = Store(store, chosen)
    try:
        with Bars(shown=progress).bar(backend_spec(timed)[0]) as step:
            outcome = run_campaign(
                opened, timed, n=None if named else n, seed=seed, architectures=named,
                protocol=protocol, options=options, retry_failed=retry_failed,
                report=campaign(step),
            )  # fmt: skip
    except BaseException as error:
        opened.__exit__(type(error), error, None)
        if isinstance(error, KeyboardInterrupt):
            print(f"stopped: every finished row is in {opened.path}; the same call goes on from "
                  "there", file=sys.stderr)  # fmt: skip
        raise
    if outcome.failed:
        warnings.warn(
            f"{outcome.failed} of {outcome.measured + outcome.failed} rows failed; the reasons are "
            f"in {opened.path}, and retry_failed=True measures them again",
            stacklevel=2,
        )
    return opened


def _dataset(source: Any) -> LatencyDataset:
    """A dataset as it is, or that of a store's only set."""
    if isinstance(source, Store):
        return source.dataset()
    if not isinstance(source, LatencyDataset):
        raise UsageError(
            f"expected a dataset or an open store, got {quoted(str(source))}; "
            "latbench.Store(path).dataset() reads one"
        )
    return source


def _predictor(predictor: Any) -> LatencyPredictor:
    """A predictor as it is, of a class with its defaults, or of that name."""
    if isinstance(predictor, str):
        return make_predictor(predictor)
    made: LatencyPredictor = predictor() if isinstance(predictor, type) else predictor
    return made


def fit(
    dataset: LatencyDataset | Store,
    predictor: LatencyPredictor | type[LatencyPredictor] | str = "mlp",
    *,
    folds: int = 5,
    seed: int = 0,
    progress: bool = True,
) -> LatencyModel:
    """A latency model of the dataset's backend that knows its error and can give intervals.

    An open store stands for the dataset of its only set. ``predictor`` is a name of
    ``latbench.predictors.PREDICTORS``, a class, or one that was made, such as
    ``latbench.predictors.MLP(hidden=(64, 64))``; a copy of it is fitted to all rows. Its error is
    cross-validated over ``folds``. Raises NotEnoughData for fewer than ``max(20, 2 * folds)`` rows
    (``LatencyModel.fit`` takes two, and states no error), UsageError for a bad argument.
    """
    from latbench.predictors.model import LatencyModel

    dataset, made = _dataset(dataset), _predictor(predictor)
    (found,) = cross_validate(dataset, [made], folds, seed, bar=progress)
    return LatencyModel.fit(dataset, made, metrics=found.metrics, out_of_fold=found.predicted)


def compare(
    datasets: LatencyDataset | Store | Sequence[LatencyDataset | Store],
    predictors: LatencyPredictor | str | Sequence[LatencyPredictor | str] = PREDICTORS,
    *,
    title: str = "Predictors compared",
    folds: int = 5,
    seed: int = 0,
    curves: bool = False,
    progress: bool = True,
) -> ReportData:
    """Predictors cross-validated on the rows of one backend or of several: a report.

    A notebook shows it as a page; ``latbench.report.write(report, "page.html")`` saves that, and
    ``report.backends[0].predictors`` has the figures. ``curves`` adds learning curves. Raises as
    ``latbench.predictors.compare.compare`` does.
    """
    several = [datasets] if isinstance(datasets, LatencyDataset | Store) else datasets
    listed = [_dataset(d) for d in several]
    chosen = predictors if isinstance(predictors, Sequence) else [predictors]
    made = [_predictor(p) for p in ([chosen] if isinstance(chosen, str) else chosen)]
    return report_of(
        title,
        [(d, cross_validate(d, made, folds, seed, curves, progress)) for d in listed],
    )
