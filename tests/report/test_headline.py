"""The summary says what the data say, and no more."""

from __future__ import annotations

import dataclasses
import math

import pytest

from latbench.report import BackendResult, PredictorResult, ReportData, SearchResult
from latbench.report.sections.headline import headline
from latbench.timing.metric import LATENCY, MEMORY

EMPTY = ReportData("t", "c", "darts", {}, ())


def run(weight: float, measured: float | None, accuracy: float | None = None,
        predicted: float = 0.01, backend: str = "ort") -> SearchResult:  # fmt: skip
    return SearchResult(f"w{weight}", backend, weight, "a", (), predicted, measured, accuracy)


def said(*searches: SearchResult, floor: float | None = 0.014, noise: float | None = 0.014
         ) -> list[str]:  # fmt: skip
    backend = BackendResult("ort", "cpu", ("a",), (0.01,), floor)
    if noise is not None:
        searches = tuple(
            dataclasses.replace(s, noise={"ort": noise} if s.metric == LATENCY else {})
            for s in searches
        )
    data = dataclasses.replace(EMPTY, backends=(backend,), searches=searches)
    return [s.replace("\u00a0", " ") for s in headline(data)]


def test_a_difference_above_the_noise_is_claimed() -> None:
    (sentence,) = said(run(0, 0.0178, 0.981), run(0.1, 0.0123, 0.978))
    assert sentence == (
        "On ort, search with the penalty (λ = 0.1) found a network 31 % faster than the one found "
        "without penalty, λ = 0 (measured: 12.3 ms against 17.8 ms); accuracy 97.8 % against "
        "98.1 % (one run each)."
    )


def test_slower_is_said_too() -> None:
    (sentence,) = said(run(0, 0.010), run(1, 0.0115))
    assert "15 % slower" in sentence
    assert "accuracy not measured" in sentence


@pytest.mark.parametrize("measured", [0.01013, 0.00988])
def test_a_difference_inside_the_noise_is_not_claimed(measured: float) -> None:
    (sentence,) = said(run(0, 0.010), run(1, measured))
    assert "inside the noise of 1.4 %: no difference can be claimed" in sentence
    assert "faster" not in sentence
    assert "slower" not in sentence


def test_where_no_noise_is_known_chance_is_named() -> None:
    (sentence,) = said(run(0, 0.010), run(1, 0.008), noise=None)
    assert "noise unknown, so this may be chance" in sentence
    (sentence,) = said(run(0, 0.010), run(1, 0.008), noise=0.0)
    assert "chance" not in sentence


@pytest.mark.parametrize("absent", [None, math.nan])
def test_a_latency_that_was_not_measured_is_a_prediction_only(absent: float | None) -> None:
    (sentence,) = said(run(0, 0.020, predicted=0.02), run(1, absent, predicted=0.015))
    assert (
        "without penalty, λ = 0 by prediction only (15.0 ms against 20.0 ms; not measured)"
        in sentence
    )


def test_one_accuracy_absent() -> None:
    (sentence,) = said(run(0, 0.020, 0.9), run(1, 0.010, None))
    assert "accuracy not measured against 90.0 %" in sentence


def test_several_runs_are_medians_and_overlap_is_said() -> None:
    (sentence,) = said(run(0, 0.010), run(0, 0.020), run(0, 0.021), run(1, 0.011), run(1, 0.012))
    assert "11.5 ms against 20.0 ms; the runs' ranges overlap" in sentence
    assert "medians of 2 runs with and 3 without penalty" in sentence


def test_no_run_to_compare_with() -> None:
    (sentence,) = said(run(1, 0.011, 0.95))
    assert "found a network of 11.0 ms (measured), accuracy 95.0 %" in sentence
    assert "no run without penalty" in sentence


def held(target: float, measured: float | None, met: bool | None = True) -> SearchResult:
    return dataclasses.replace(run(0, measured, 0.9), target=target, asked="80%", met=met)


def test_a_missed_limit_is_said_first_and_what_slower_means() -> None:
    (sentence,) = said(run(0, 0.0552, 0.8), held(0.0583, 0.0610))
    assert sentence == (
        "On ort, search for at most 58.3 ms (80%) missed its limit as measured: 61.0 ms, 4.6 % "
        "above the limit, beyond the noise of 1.4 %. It found a network 11 % slower than the "
        "one found without penalty, λ = 0 (measured: 61.0 ms against 55.2 ms); accuracy 90.0 % "
        "against 80.0 % (one run each)."
    )


def test_a_limit_nearer_than_the_noise_is_too_close_to_tell() -> None:
    (above,), (below,) = (said(run(0, 0.0552), held(0.0583, v)) for v in (0.0588, 0.0580))
    assert "too close to its limit to tell: 58.8 ms, 0.86 % above the limit, within" in above
    assert "too close to its limit to tell: 58.0 ms, 0.51 % below the limit, within" in below
    for sentence in (above, below):
        assert "within the noise of 1.4 %. It found a network" in sentence
    (clear,) = said(held(0.0583, 0.05))
    assert "below the limit, beyond the noise of 1.4 %. It found a network of 50" in clear
    (far,) = said(held(0.001, 0.05))
    assert "missed its limit as measured: 50.0 ms, 50 times the limit, beyond the noise" in far
    (unknown,) = said(held(0.0583, 0.05), noise=None)
    assert "14.2 % below the limit; noise unknown, so this may be chance." in unknown


def test_limits_of_several_runs_are_counted_and_predictions_are_no_measurements() -> None:
    (sentence,) = said(held(0.05, 0.04), held(0.05, 0.06), held(0.05, 0.041))
    assert (
        "kept its limit in 2 of 3 runs as measured (missed it in 1): median 41.0 ms, 18.0 % below "
        "the limit."
    ) in sentence
    (sentence,) = said(held(0.05, 0.0499), held(0.05, 0.06))
    assert (
        "kept its limit in 0 of 2 runs as measured (missed it in 1, too close to tell in 1): median"
    ) in sentence
    (sentence,) = said(held(0.05, None, met=False))
    assert "missed its limit by prediction only; what counts, the measurement, is" in sentence


def test_many_weights_are_summed_up_without_hiding_how_many() -> None:
    (sentence,) = said(run(0, 0.02), *(run(w, 0.02 - w / 1000) for w in (1, 2, 3, 4, 5)))
    assert "λ = 5" in sentence
    assert "This is the lowest latency of 5 penalty weights." in sentence


def in_memory(search: SearchResult) -> SearchResult:
    """The same search for peak memory: 1 s becomes 10 GiB."""
    measured = None if search.measured is None else search.measured * 10 * 2**30
    predicted = search.predicted * 10 * 2**30
    return dataclasses.replace(search, metric=MEMORY, measured=measured, predicted=predicted)


def test_a_search_for_memory_is_told_in_its_own_words() -> None:
    runs = in_memory(run(0, 0.020, 0.9)), in_memory(run(1, 0.015, 0.9))
    (sentence,) = said(*runs)
    assert "a network that takes 25 % less memory than the one found without" in sentence
    assert "(measured: 154 MiB against 205 MiB" in sentence
    assert "noise unknown" in sentence
    (sentence,) = said(in_memory(run(1, 0.015)))
    assert "found a network of 154 MiB of peak host memory (measured)" in sentence
    (sentence,) = said(in_memory(run(0, 0.02)), in_memory(run(1, 0.03)))
    assert "that takes 50 % more memory" in sentence


def test_metrics_are_not_mixed() -> None:
    sentences = said(run(0, 0.020), in_memory(run(1, 0.015)))
    assert len(sentences) == 2
    assert not any("faster" in s or "less" in s for s in sentences)


def test_a_predictor_of_memory_is_told_apart() -> None:
    backend = BackendResult("ort", "cpu", ("a",), (1e8,), 0.01, (scored("b", 0.02, 0.01, 0.03),),
                            metric=MEMORY)  # fmt: skip
    sentence = headline(dataclasses.replace(EMPTY, backends=(backend,)))[0]
    assert "2.0 % of the peak host memory on average" in sentence.replace("\u00a0", " ")


def test_backends_are_not_mixed() -> None:
    sentences = said(run(0, 0.020), run(1, 0.010, backend="trt"))
    assert len(sentences) == 2
    assert not any("faster" in s for s in sentences)


def test_what_a_search_for_a_backend_is_worth_comes_first() -> None:
    """Where there were searches for two; of each metric by itself."""
    found = [
        dataclasses.replace(run(1, own, 0.9, backend=on), measured_elsewhere={other: there})
        for on, own, other, there in (("ort", 0.010, "trt", 0.02), ("trt", 0.012, "ort", 0.02))
    ]
    first, second, *others = said(*found)
    assert first == (
        "On ort, the latency of what was found for trt is 100.0 % above that of what was found for "
        "ort itself (median of 1 goal); accuracy 90.0 % against 90.0 %."
    )
    assert second.startswith("On trt, the latency of what was found for ort is 66.7 % above")
    assert len(others) == 2
    assert said(found[0], in_memory(found[1]))[0].startswith("On ort, search with the penalty")


def scored(name: str, mape: float, low: float, high: float) -> PredictorResult:
    return PredictorResult(name, (0.01,), {"mape": (mape, low, high)})


def predictors_said(floor: float | None, *predictors: PredictorResult) -> str:
    backend = BackendResult("ort", "cpu", ("a",), (0.01,), floor, predictors)
    return headline(dataclasses.replace(EMPTY, backends=(backend,)))[0].replace("\u00a0", " ")


def test_the_best_predictor_stands_beside_what_can_be_reached() -> None:
    sentence = predictors_said(0.01, scored("a", 0.05, 0.04, 0.06), scored("b", 0.02, 0.018, 0.022))
    assert sentence == (
        "On ort (cpu), the best of 2 predictors, b, is off by 2.0 % on average (bootstrap interval "
        "1.8 % to 2.2 %), 2.8 times what a perfect predictor reaches, 0.71 % at a noise floor of "
        "1.0 %."
    )


def test_a_predictor_as_good_as_the_noise() -> None:
    as_noisy = scored("b", 0.02, 0.018, 0.022)
    assert "not distinguishable from what a perfect" in predictors_said(0.027, as_noisy)
    assert "no more than what a perfect" in predictors_said(0.03, as_noisy)
    # Below the floor there is still something to gain.
    assert "1.4 times what a perfect" in predictors_said(0.02, as_noisy)
    assert "no noise floor" in predictors_said(None, scored("b", 0.02, 0.018, 0.022))


def test_predictors_whose_intervals_overlap_are_named() -> None:
    sentence = predictors_said(
        0.01, scored("a", 0.021, 0.019, 0.023), scored("b", 0.02, 0.018, 0.022)
    )
    assert sentence.endswith("The interval of a overlaps with this.")


def test_many_rivals_are_counted() -> None:
    rivals = [scored(name, 0.021, 0.019, 0.023) for name in "cdef"]
    sentence = predictors_said(0.01, scored("b", 0.02, 0.018, 0.022), *rivals)
    assert sentence.endswith("The intervals of 4 others overlap with this.")


def test_predictors_without_a_score_are_not_ranked() -> None:
    unknown = PredictorResult("x", (0.01,), {"mape": (math.nan, 0, 1)})
    sentence = predictors_said(0.01, unknown, PredictorResult("y", (0.01,), {}))
    assert sentence == "1 measurement on ort; no predictor was fitted and no search run."


def test_nothing_measured() -> None:
    assert headline(EMPTY) == ["Nothing was measured yet."]


def test_a_wide_noise_floor_is_said() -> None:
    assert "On ort, the noise floor is 42.00 %" in said(run(0.5, 0.01), floor=0.42)[-1]
    assert "--retry-noisy" in said(floor=0.42)[-1]
    assert len(said(floor=0.05)) == len(said(floor=0.01)) == 1
