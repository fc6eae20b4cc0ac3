from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from latbench.encodings import encode
from latbench.errors import UsageError
from latbench.spaces import make_space
from latbench.store.dataset import LatencyDataset
from latbench.timing.metric import MEMORY

SPACE = make_space("nasbench201")


def dataset(n: int = 5, **changes: Any) -> LatencyDataset:
    values: dict[str, Any] = {
        "space": SPACE,
        "architectures": tuple(a for _, a in SPACE.unique_samples(0, n)),
        "values": np.arange(1, n + 1) / 1000,
        "backend": "fake",
        "device": "cpu",
    }
    return LatencyDataset(**values | changes)


def test_rows_stay_together() -> None:
    data = dataset()
    part = data.subset([3, 0, 3])
    assert len(part) == 3
    assert part.architectures == tuple(data.architectures[i] for i in (3, 0, 3))
    np.testing.assert_array_equal(part.values, [0.004, 0.001, 0.004])
    assert (part.backend, part.device, part.space) == ("fake", "cpu", SPACE)


def test_a_subset_by_array_and_an_empty_one() -> None:
    data = dataset()
    assert data.subset(np.array([1])).architectures == data.architectures[1:2]
    assert len(data.subset([])) == 0
    assert data.subset([]).encode("one_hot").shape == (0, 30)


def test_it_is_told_in_a_line_and_in_a_table() -> None:
    data = dataset(noise_floor=0.0123, backend="<fake>")
    assert repr(data) == (
        f"<LatencyDataset: 5 architectures of {SPACE}; latency on <fake> 1.00 to 5.00 ms, "
        "noise floor 1.23 %>"
    )
    html = data._repr_html_()
    assert "<td>&lt;fake&gt;</td>" in html
    assert "<td>1.23 %</td>" in html
    assert "<td>1.00 to 5.00 ms</td>" in html
    assert "no rows" in repr(data.subset([]))
    assert "MiB" in repr(dataset(metric=MEMORY))


def test_encode_is_encode() -> None:
    data = dataset()
    np.testing.assert_array_equal(
        data.encode("counts"), encode(SPACE, data.architectures, "counts")
    )


def test_the_fingerprint_is_pinned() -> None:
    """Stored with predictors: it must not change with the version of numpy or of latbench."""
    cells = tuple(a for _, a in SPACE.with_sampler(1).unique_samples(0, 2))
    assert dataset(2, architectures=cells).fingerprint() == "0d4cd41b8743a3c1"


def test_the_fingerprint_changes_with_what_a_predictor_sees() -> None:
    data = dataset()
    values = data.values.copy()
    values[2] = np.nextafter(values[2], 1)
    different = [
        data,
        replace(data, values=values),
        replace(data, backend="other"),
        replace(data, metric=MEMORY),
        replace(data, architectures=data.architectures[::-1]),
        replace(data, space=make_space("nasbench201", {"channels": 8})),
        data.subset(range(4)),
        data.subset([1, 0, 2, 3, 4]),
    ]
    assert len({d.fingerprint() for d in different}) == len(different)
    assert dataset().fingerprint() == data.fingerprint()
    assert replace(data, noise_floor=0.5).fingerprint() == data.fingerprint()


@pytest.mark.parametrize("bad", [0.0, -1.0, np.nan, np.inf])
def test_unusable_latencies_are_refused(bad: float) -> None:
    values = np.ones(5)
    values[3] = bad
    with pytest.raises(UsageError, match="positive and finite"):
        dataset(values=values)


def test_messages_name_the_metric() -> None:
    with pytest.raises(UsageError, match="peak host memory must be positive"):
        dataset(values=np.zeros(5), metric=MEMORY)
    with pytest.raises(UsageError, match="values of peak host memory of shape"):
        dataset(values=np.ones(4), metric=MEMORY)


@pytest.mark.parametrize("shape", [(4,), (6,), (5, 1), ()])
def test_every_architecture_has_one_latency(shape: tuple[int, ...]) -> None:
    with pytest.raises(UsageError, match="expected one each"):
        dataset(values=np.ones(shape))


def test_datasets_can_be_compared_and_hashed_as_objects() -> None:
    a, b = dataset(), dataset()
    assert a == a
    assert a != b
    assert len({a, b}) == 2
