"""The functions that a notebook calls: measure, profile, fit and compare, like the commands of
these names.

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
from latbench.errors import UsageError, quoted
from latbench.models import Model
from latbench.predictors import PREDICTORS, make_predictor
from latbench.progress import Bars, of_campaign
from latbench.report.from_datasets import report_of
from latbench.results import ReportData
from latbench.spaces import AnySpace, parse_space
from latbench.store import Store
from latbench.store.dataset import LatencyDataset
from latbench.timing.protocol import Protocol

if TYPE_CHECKING:
    from latbench.predictors.base import LatencyPredictor
    from latbench.predictors.model import LatencyModel
    from latbench.profiling import NetworkProfile, ProfileRuns

STORE = "latbench.sqlite"


def measure(
    space: AnySpace | str,
    backend: Backend | str = "onnxruntime",
    *,
    n: int = 200,
    seed: int = 0,
    architectures: Sequence[Any] = (),
    models: Sequence[Model] = (),
    store: str | Path = STORE,
    protocol: Protocol | None = None,
    options: CampaignOptions | None = None,
    retry_failed: bool = False,
    progress: bool = True,
) -> Store:
    """Times architectures of a space on a backend and returns the open store.

    Rows that the store already has are left alone, so the same call goes on where it stopped. An
    interrupt (Ctrl-C, or a notebook's stop button) is passed on and loses no finished row. Close
    the store (or use it as a context manager) when you are done with it; its file is whole before
    that. Rows that failed give a UserWarning.

    Args:
        space: The search space, or its text.
        backend: A backend or its name; one with options is
            ``latbench.backends.make_backend(name, threads=1)``.
        n: The number of architectures to take from the sample, 1 or more.
        seed: The seed of the sample.
        architectures: Values of the space, or their texts, which are measured instead of a sample.
        models: Models, of the space or not, which are measured instead of a sample, too.
        store: The path of a SQLite file, which is made unless it is there.
        protocol: How one timing is taken; None takes the defaults.
        options: How the campaign is run; None takes the defaults.
        retry_failed: Whether rows that failed before are measured again.
        progress: Whether to show a progress bar.

    Returns:
        The open store.

    Raises:
        UsageError: For a bad argument.
        BackendUnavailable: When the backend cannot run here.
        SpaceMismatchError: When the store is of another space.
    """
    chosen = parse_space(space) if isinstance(space, str) else space
    timed = make_backend(backend) if isinstance(backend, str) else backend
    named = [chosen.parse(a) if isinstance(a, str) else a for a in architectures]
    by_name = bool(named or models)
    if not by_name and n < 1:
        raise UsageError(f"n must be 1 or more, got {n}; or name architectures")
    opened = Store(store, chosen)
    try:
        with Bars(shown=progress).bar(backend_spec(timed)[0]) as step:
            outcome = run_campaign(
                opened, timed, n=None if by_name else n, seed=seed, architectures=named,
                models=models, protocol=protocol, options=options, retry_failed=retry_failed,
                report=of_campaign(step),
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


def profile(
    model: Model | str,
    backend: Backend | str = "onnxruntime",
    *,
    predictor: LatencyModel | None = None,
    runs: ProfileRuns | None = None,
    parity: bool = True,
    progress: bool = True,
) -> NetworkProfile:
    """Tells what each kernel of a runtime takes in one network, and which layers are in it.

    The network is timed in this process, whose settings the backend may change.

    Args:
        model: A model, or the name of a published network, such as ``"mobilenet_v2"``.
        backend: A backend or its name; it has to be able to profile.
        predictor: A fitted predictor of the same layers, whose figures stand beside the kernels'.
        runs: How often it is timed; None takes the defaults.
        parity: Whether the output is compared with torch's before anything is timed.
        progress: Whether to show a progress bar.

    Returns:
        The profile: ``kernels`` in the order in which they run, ``kinds``, and the whole beside
        them.

    Raises:
        UsageError: For an unknown network, and for a predictor that does not know its layers.
        BackendUnavailable: When the backend cannot run here.
        BackendError: When it cannot profile, or cannot run the model.
    """
    from latbench.predictors.layer_shares import predict_network
    from latbench.profiling import profile_network
    from latbench.zoo.published_networks import published_model

    chosen = published_model(model) if isinstance(model, str) else model
    timed = make_backend(backend) if isinstance(backend, str) else backend
    prediction = None if predictor is None else predict_network(predictor, chosen.network)
    with Bars(shown=progress).bar(f"profile {timed.name}") as step:
        return profile_network(
            chosen, timed, runs, prediction=prediction, parity=parity, report=of_campaign(step)
        )


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
    """Fits a latency model of the dataset's backend that knows its error and can give intervals.

    Args:
        dataset: The measurements, or an open store, which stands for the dataset of its only set.
        predictor: A name of ``latbench.predictors.PREDICTORS``, a class, or an instance such as
            ``latbench.predictors.MLP(hidden=(64, 64))``; a copy of it is fitted to all rows.
        folds: The number of folds of the cross-validation that states the error.
        seed: The seed of the folds.
        progress: Whether to show a progress bar.

    Returns:
        The fitted model, with its cross-validated metrics and calibrated intervals.

    Raises:
        NotEnoughData: For fewer than ``max(20, 2 * folds)`` rows (``LatencyModel.fit`` takes two,
            and states no error).
        UsageError: For a bad argument.
    """
    from latbench.predictors.evaluation.compare import cross_validate
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
    """Cross-validates predictors on the rows of one backend or of several and returns a report.

    A notebook shows the report as a page; ``latbench.report.write(report, "page.html")`` saves
    that, and ``report.backends[0].predictors`` has the figures.

    Args:
        datasets: One dataset or several; an open store stands for the dataset of its only set.
        predictors: One predictor or several, or their names; all registered ones by default.
        title: The title of the report.
        folds: The number of folds of the cross-validation.
        seed: The seed of the folds.
        curves: Whether to add learning curves.
        progress: Whether to show a progress bar.

    Returns:
        The report's data.

    Raises:
        LatbenchError: As ``latbench.predictors.evaluation.compare.compare`` raises it.
    """
    from latbench.predictors.evaluation.compare import cross_validate

    several = [datasets] if isinstance(datasets, LatencyDataset | Store) else datasets
    listed = [_dataset(d) for d in several]
    chosen = predictors if isinstance(predictors, Sequence) else [predictors]
    made = [_predictor(p) for p in ([chosen] if isinstance(chosen, str) else chosen)]
    return report_of(
        title,
        [(d, cross_validate(d, made, folds, seed, curves, progress)) for d in listed],
    )
