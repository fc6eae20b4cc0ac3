"""The calls of a notebook: measure, fit, compare."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import latbench
import latbench.api
from latbench.campaign import CampaignOptions, Progress
from latbench.errors import BackendError, NotEnoughData, SpaceMismatchError, UsageError
from latbench.models import Model
from latbench.testing import CostModelBackend

SPACE = latbench.spaces.nasbench201(channels=4, cells=1, resolution=8)
BACKEND = CostModelBackend(noise=0.01)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> latbench.LatencyDataset:
    path = tmp_path_factory.mktemp("api") / "store.sqlite"
    with latbench.measure(SPACE, backend=BACKEND, n=40, store=path, progress=False) as store:
        return store.dataset()


def test_a_store_is_made_in_the_working_directory_and_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with latbench.measure(str(SPACE), backend=BACKEND, n=4) as store:
        assert store.path == Path("latbench.sqlite")
        first = store.dataset()
    assert "of 4" in capsys.readouterr().err or len(first) == 4
    with latbench.measure(SPACE, backend=BACKEND, n=6) as store:
        again = store.dataset()
        assert "<td>6</td>" in store._repr_html_()
    assert again.architectures[:4] == first.architectures
    assert len(again) == 6
    assert "closed" in store._repr_html_()
    assert repr(store) == f"<Store latbench.sqlite: {SPACE}>"


def test_named_architectures_instead_of_a_sample(tmp_path: Path) -> None:
    names = [SPACE.sample(1, 0), str(SPACE.sample(1, 1))]
    options = CampaignOptions(retest=0)
    with latbench.measure(
        SPACE, backend=BACKEND, architectures=names, store=tmp_path / "s.sqlite", options=options,
        progress=False,
    ) as store:  # fmt: skip
        (found,) = store.sets()
        assert found.ok == 2
        assert store.value(found.id, str(names[0])) is not None


def test_models_instead_of_a_sample(tmp_path: Path) -> None:
    model = Model("mine", SPACE.build(SPACE.reference()))
    with latbench.measure(
        SPACE, backend=BACKEND, models=[model], store=tmp_path / "s.sqlite", progress=False
    ) as store:
        (found,) = store.sets()
        assert (found.ok, found.retested) == (1, 1)
        assert store.value(found.id, str(model)) is not None


def test_an_interrupt_loses_no_row_and_is_passed_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stopped(step: Any) -> Any:
        def report(progress: Progress) -> None:
            if progress.done == 5:
                raise KeyboardInterrupt

        return report

    path = tmp_path / "store.sqlite"
    settings: dict[str, Any] = {"backend": BACKEND, "n": 12, "store": path, "progress": False}
    with monkeypatch.context() as patched:
        patched.setattr(latbench.api, "of_campaign", stopped)
        with pytest.raises(KeyboardInterrupt):
            latbench.measure(SPACE, **settings)
    assert f"every finished row is in {path}" in capsys.readouterr().err
    with latbench.Store(path) as store:
        # The fifth row was committed before it was reported; retests count as rows, too.
        rows = store.sets()[0].ok + store.sets()[0].retested
        before = store.relative(1)
        assert rows == 5
    with latbench.measure(SPACE, **settings) as store:
        assert store.sets()[0].ok == 12
        assert {
            a: v[: len(before[a])] for a, v in store.relative(1).items() if a in before
        }.keys() == (before.keys())


def test_failed_rows_are_said(tmp_path: Path) -> None:
    broken = CostModelBackend(fault="exception", fault_every=2, seed=13)
    with pytest.warns(UserWarning, match=r"\d+ of \d+ rows failed; the reasons are in"):
        latbench.measure(
            SPACE, backend=broken, n=12, store=tmp_path / "s.sqlite", progress=False
        ).close()


def test_bad_arguments_are_one_sentence_and_close_the_store(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    latbench.Store(path, SPACE).close()
    with pytest.raises(SpaceMismatchError):
        latbench.measure("darts", backend=BACKEND, store=path)
    with pytest.raises(UsageError, match="n must be 1 or more"):
        latbench.measure(SPACE, backend=BACKEND, n=0, store=path, progress=False)
    with pytest.raises(UsageError, match="a report needs a dataset"):
        latbench.compare([])


def test_a_fitted_model_states_its_error_and_gives_intervals(
    dataset: latbench.LatencyDataset,
) -> None:
    model = latbench.fit(dataset, "ridge-cost", progress=False)
    assert model.card.metrics is not None
    assert model.card.metrics["mape"][0] < 0.05
    value, low, high = model.predict([SPACE.reference()], return_interval=0.8)
    assert low < value < high
    html = model._repr_html_()
    assert "<td>ridge-cost</td>" in html
    assert "mean error (MAPE)" in html
    assert "noise floor" in html
    told = repr(model)
    assert told.startswith("<LatencyModel of latency: predictor ridge-cost; ")
    assert len(told) < 500


def test_a_predictor_may_be_made_first(dataset: latbench.LatencyDataset) -> None:
    made = latbench.predictors.MLP(hidden=(8,), steps=20)
    model = latbench.fit(dataset, made, folds=2, progress=False)
    assert model.card.params["hidden"] == [8]
    assert not hasattr(made, "range_")  # a copy was fitted
    by_hand = made.fit(dataset.encode("counts"), dataset.values)  # scikit-learn's own way
    np.testing.assert_allclose(
        by_hand.predict(dataset.encode("counts")), model.predict(dataset.architectures)
    )


def test_a_model_without_cross_validation_says_so(dataset: latbench.LatencyDataset) -> None:
    few = dataset.subset(range(5))
    with pytest.raises(NotEnoughData):
        latbench.fit(few, "ridge-cost", progress=False)
    model = latbench.LatencyModel.fit(few, latbench.predictors.RidgeCost())
    assert "not cross-validated" in repr(model)


def test_a_comparison_is_a_report(dataset: latbench.LatencyDataset, tmp_path: Path) -> None:
    names: list[str | latbench.predictors.LatencyPredictor] = ["ridge-cost"]
    names.append(latbench.predictors.RidgeCost())
    report = latbench.compare([dataset, dataset], names, folds=2, progress=False)
    assert [b.backend for b in report.backends] == [dataset.backend] * 2
    assert [p.name for p in report.backends[0].predictors] == ["ridge-cost", "ridge-cost (2)"]
    latbench.report.write(report, tmp_path / "page.html")
    assert "ridge-cost (2)" in (tmp_path / "page.html").read_text()


def test_what_anyone_would_type_first(dataset: latbench.LatencyDataset, tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    with latbench.measure(SPACE, BACKEND, n=24, store=path, progress=False) as store:
        model = latbench.fit(store, latbench.predictors.RidgeCost, progress=False)
        assert model.card.samples == 24
        report = latbench.compare(store, "ridge-cost", progress=False)
        assert [p.name for p in report.backends[0].predictors] == ["ridge-cost"]
    reference = SPACE.reference()
    np.testing.assert_array_equal(model.predict([str(reference)]), model.predict([reference]))
    np.testing.assert_array_equal(model.predict(dataset), model.predict(dataset.architectures))
    for single in (reference, str(reference)):
        with pytest.raises(UsageError, match=r"write \[architecture\]"):
            model.predict(single)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"latbench\.Store\(path\)"):
        latbench.fit(str(path))  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="a model that takes architectures"):
        latbench.predictors.RidgeCost().fit(dataset).predict([reference])


def test_a_copy_of_an_open_store_s_file_is_whole(tmp_path: Path) -> None:
    with latbench.measure(SPACE, BACKEND, n=6, store=tmp_path / "s", progress=False) as store:
        (tmp_path / "copy").write_bytes((tmp_path / "s").read_bytes())
        with latbench.Store(tmp_path / "copy") as copy:
            assert copy.relative(1) == store.relative(1) != {}


def test_what_is_refused_leaves_no_file(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    with pytest.raises(UsageError, match="different networks"):
        latbench.measure(SPACE, BACKEND, n=10**6, store=path, progress=False)
    with pytest.raises(BackendError):
        latbench.measure(SPACE, CostModelBackend(fault="exception"), store=path, progress=False)
    assert list(tmp_path.iterdir()) == []
    latbench.Store(path, SPACE).close()  # one that was there before stays
    with pytest.raises(UsageError, match="different networks"):
        latbench.measure(SPACE, BACKEND, n=10**6, store=path, progress=False)
    assert [p.name for p in tmp_path.iterdir()] == ["s.sqlite"]


def test_modules_that_the_documentation_names_are_there() -> None:
    code = "import latbench; latbench.{0}; assert '{0}' in dir(latbench)"
    for name in ("timing.Protocol", "campaign.CampaignOptions", "testing.check_backend"):
        done = code.replace("{0}", name, 1).format(name.split(".")[0])
        subprocess.run([sys.executable, "-c", done], check=True)
    assert "search" in dir(latbench.search)
    assert "annotations" not in dir(latbench)
