"""The bars and sentences of ``measure-actively`` and ``fit-until``, which measure in rounds."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from latbench.cli.common import interruptible
from latbench.errors import UsageError
from latbench.progress import messages
from latbench.text import percent
from latbench.timing.noise import NO_LOWER, beside_reachable, reachable_error, standing

if TYPE_CHECKING:
    from latbench.backends.base import Backend
    from latbench.campaign import CampaignOutcome
    from latbench.campaign.campaign import Progress
    from latbench.predictors.base import LatencyPredictor
    from latbench.sampling.rounds import Enough, Judged
    from latbench.store import Store


def parse_share(text: str, *, ends: bool = False) -> float:
    """Reads ``5%`` or ``0.05`` as a fraction.

    Raises UsageError for anything not between 0 and 1, which are let pass with ``ends``.
    """
    number = text.strip()
    try:
        value = float(number[:-1]) / 100 if number.endswith("%") else float(number)
    except ValueError:
        value = -1.0
    if not (0 < value < 1 or (ends and value in (0, 1))):
        raise UsageError(f"a share must be between 0 and 100 %, as 5% or 0.05, got {text!r}")
    return value


def kept(store: Store) -> str:
    """Says what an interrupted campaign leaves, in a sentence."""
    return f"every finished row is in {store.path}; the same command goes on from there"


class _Rounds:
    """A progress bar for each round of a campaign."""

    def __init__(self, stack: ExitStack) -> None:
        from latbench.progress import Bars

        self._stack, self._bars = stack, Bars()
        self._step: Callable[[int, int, str], None] | None = None

    def begin(self, description: str) -> None:
        """Ends the bar of the round before."""
        self.end()
        self._step = self._stack.enter_context(self._bars.bar(description))

    def end(self) -> None:
        """Ends the last bar."""
        self._stack.close()
        self._step = None

    def report(self, progress: Progress) -> None:
        """Shows how far the round is."""
        from latbench.progress import of_campaign

        if self._step is not None:
            of_campaign(self._step)(progress)


def active(
    store: Store, backend: Backend, *, n: int, rounds: int, seed: int, **options: Any
) -> CampaignOutcome:
    """Runs ``measure_actively`` with ridge regression on operation counts, a bar for each round.

    Args:
        store: The store that takes the rows.
        backend: The backend to measure on.
        n: The number of architectures to measure.
        rounds: The number of rounds.
        seed: The seed of the sample.
        **options: Further arguments of ``measure_actively``.

    Returns:
        What the rounds added together.

    Raises:
        typer.Exit: After Ctrl-C, with code 130.
        LatbenchError: As ``measure_actively`` raises it.
    """
    from latbench.predictors import make_predictor
    from latbench.sampling.rounds import measure_actively

    with interruptible(kept(store)), ExitStack() as stack:
        bars = _Rounds(stack)
        return measure_actively(
            store, backend, make_predictor("ridge-counts"), n=n, rounds=rounds, seed=seed,
            begin=lambda number, of: bars.begin(f"{backend.name}, round {number} of {of}"),
            report=bars.report, **options,
        )  # fmt: skip


def until(
    store: Store, backend: Backend, predictor: LatencyPredictor, error: float, **options: Any
) -> Enough:
    """Runs ``measure_until``, and says on standard error what each round came to.

    Args:
        store: The store that takes the rows.
        backend: The backend to measure on.
        predictor: The predictor to judge.
        error: The MAPE to reach, a fraction between 0 and 1.
        **options: Further arguments of ``measure_until``.

    Returns:
        The data, the cross-validation and the last judgement.

    Raises:
        typer.Exit: After Ctrl-C, with code 130.
        LatbenchError: As ``measure_until`` raises it.
    """
    from latbench.sampling.rounds import measure_until

    with interruptible(kept(store)), ExitStack() as stack:
        bars = _Rounds(stack)

        def judge(judged: Judged) -> None:
            bars.end()
            messages.print(judged_sentence(judged, error))
            if judged.why is None:
                bars.begin(backend.name)

        bars.begin(backend.name)
        return measure_until(
            store, backend, predictor, error, judge=judge, report=bars.report, **options
        )


def judged_sentence(judged: Judged, error: float) -> str:
    """Says in a sentence what one round came to; ``error`` is the MAPE to reach, a fraction."""
    value, low, high = (f"{100 * v:.2f}" for v in judged.mape)
    said = f"{judged.samples} architectures: error {value} % ({low} – {high})"
    beside = beside_reachable(judged.mape, judged.noise_floor)
    why = {
        "error": f"; {percent(error)} is reached",
        "noise floor": f", {beside}; {NO_LOWER}",
        "budget": f"; {percent(error)} is not reached and no more may be measured",
        None: f", {beside}; going on",
    }
    return said + why[judged.why]


def stated(path: Path, judged: Judged, error: float) -> dict[str, Any]:
    """Returns the last round as JSON values; ``error`` is the MAPE to reach, a fraction."""
    return {
        "store": str(path), "target": error, "samples": judged.samples,
        "mape": list(judged.mape), "noise_floor": judged.noise_floor,
        "reachable_error": reachable_error(judged.noise_floor),
        "beside_reachable": standing(judged.mape, judged.noise_floor), "stopped_by": judged.why,
    }  # fmt: skip
