"""Campaigns of models by name, and of a space that no 64 bits can number."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from wide_space import WIDE, in_workers

from latbench.backends import make_backend
from latbench.backends.simd_sparse import SimdSparse
from latbench.campaign import CampaignOptions, run_campaign
from latbench.campaign.canaries import CANARIES, UNIT
from latbench.campaign.recheck import recheck
from latbench.campaign.spec import saved
from latbench.errors import NotEnoughData, ParseError, UsageError
from latbench.models import Model, read_model, save_model
from latbench.networks.network import Network, NetworkBuilder
from latbench.networks.ops import Conv, Flatten, GlobalAvgPool, Linear, Op
from latbench.networks.weights import make_weights
from latbench.spaces import make_space, nasbench201
from latbench.sparse.libraries import can_be_had
from latbench.store import Store
from latbench.store.table_rows import steps_of
from latbench.testing import CostModelBackend, ReplayBackend
from latbench.testing.networks import conv_chain
from latbench.timing.protocol import Protocol

SPACE = nasbench201(channels=4, cells=1, resolution=8)
FAST = CampaignOptions(retest=0, block=8)
QUICK = Protocol(min_visits=2, max_visits=2)
BACKEND = CostModelBackend()
CHAIN = conv_chain(layers=2, channels=4, resolution=8)
TRAINED = Model("chain, trained", CHAIN, make_weights(CHAIN, seed=1))
INVENTED = Model("chain", CHAIN)


def timings(store: Store) -> list[tuple[Any, ...]]:
    return store.connection.execute(
        "SELECT architecture, repeat, status, sample_index FROM measurements ORDER BY 1, 2"
    ).fetchall()


def test_models_are_timed_beside_the_space(tmp_path: Path) -> None:
    everything = replace(FAST, retest=1.0)
    with Store(tmp_path / "s.sqlite", SPACE) as store:
        models = [TRAINED, INVENTED, TRAINED]
        first = run_campaign(store, BACKEND, n=3, models=models, options=everything)
        assert (first.measured, first.failed) == (10, 0)
        for model in (TRAINED, INVENTED):
            expected = BACKEND.latency_s(CHAIN)
            assert store.value(first.set_id, str(model)) == pytest.approx(expected, rel=1e-3)
        named = [row for row in timings(store) if "@" in row[0]]
        assert named == [(str(m), r, "ok", None) for m in (TRAINED, INVENTED) for r in (0, 1)]
        assert len(store.dataset()) == 3
        found = store.find_set()
        assert (found.ok, found.named, found.networks) == (5, 2, 5)
        again = run_campaign(store, BACKEND, n=3, models=models, options=everything)
        assert (again.measured, again.already_there) == (0, 10)
        longer = run_campaign(store, BACKEND, n=5, models=[], options=FAST)
        assert longer.failed == 0


def test_models_alone_are_their_own_sentinels(tmp_path: Path) -> None:
    options = replace(FAST, retest=1.0)
    with Store(tmp_path / "s.sqlite", SPACE) as store:
        number = run_campaign(store, BACKEND, models=[TRAINED, INVENTED], options=options).set_id
        assert store.find_set().retested == 2
        with pytest.raises(NotEnoughData, match="no architecture that was timed twice"):
            recheck(store)
        assert recheck(store, models=[TRAINED, INVENTED]).measured == 2
        assert [row[1] for row in timings(store)] == [0, 1, 2] * 2
        # Whoever goes on without one of them is checked by the others.
        more = run_campaign(store, BACKEND, models=[INVENTED], n=8, options=FAST)
        assert (more.set_id, more.failed, more.measured) == (number, 0, 9)


def test_weights_reach_the_runtime(tmp_path: Path) -> None:
    """Whose output is compared with torch's on the same weights."""
    backend = make_backend("onnxruntime")
    with Store(tmp_path / "s.sqlite", SPACE) as store:
        outcome = run_campaign(store, backend, models=[TRAINED], options=FAST, protocol=QUICK)
        assert (outcome.measured, outcome.failed) == (1, 0)


IGNORES = """
from dataclasses import dataclass
from latbench.backends.torch_eager import TorchEager
from latbench.models import Model

@dataclass(frozen=True)
class Ignores(TorchEager):
    name = "ignores"
    def load(self, model):
        return super().load(Model(model.name, model.network))
"""


def test_a_backend_that_invents_weights_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ignores_weights.py").write_text(IGNORES)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    backend = make_backend("ignores_weights:Ignores")
    with Store(tmp_path / "s.sqlite", SPACE) as store:
        outcome = run_campaign(
            store, backend, models=[TRAINED, INVENTED], options=FAST, protocol=QUICK
        )
        assert (outcome.measured, outcome.failed) == (1, 1)
        assert tuple(row[2] for row in timings(store)) == ("failed", "ok")


def test_models_are_saved_for_as_long_as_a_campaign(monkeypatch: pytest.MonkeyPatch) -> None:
    with saved([TRAINED, INVENTED]) as folders:
        assert list(folders) == [str(TRAINED), str(INVENTED)]
        assert [str(read_model(folder)) for folder in folders.values()] == list(folders)
    assert not any(Path(folder).exists() for folder in folders.values())
    with saved([]) as folders:
        assert folders == {}
    with pytest.raises(UsageError, match="one line"), saved([Model("", CHAIN)]):
        pass


LAYER = """
from dataclasses import dataclass
from latbench.networks.ops import Op

@dataclass(frozen=True)
class Nothing(Op):
    pass
"""


def _with_a_convolution(op: Op) -> Network:
    b = NetworkBuilder((1, 3, 8, 8))
    x = b.add(op, b.add(Conv(8, 3), b.add(Conv(8, 3), b.input)))
    return b.build(b.add(Linear(10), b.add(Flatten(), b.add(GlobalAvgPool(), x))))


def test_workers_import_the_layer_kinds_of_a_campaigns_models(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The campaign itself wrote their names. The exporters have no rule for this one."""
    (tmp_path / "own_layer.py").write_text(LAYER)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    module: Any = __import__("own_layer")
    b = NetworkBuilder((1, 3, 4, 4))
    model = Model("own", b.build(b.add(module.Nothing(), b.input)))
    with Store(tmp_path / "s.sqlite", SPACE) as store:
        outcome = run_campaign(store, BACKEND, models=[model], options=FAST, protocol=QUICK)
        assert (outcome.measured, outcome.failed) == (1, 0)
    # And those of the model of whose widths a store is, which it did not write.
    save_model(Model("widths", _with_a_convolution(module.Nothing())), tmp_path / "net")
    widths = make_space("widths", {"model": str(tmp_path / "net"), "step": 4})
    with Store(tmp_path / "w.sqlite", widths) as store:
        outcome = run_campaign(store, BACKEND, n=2, options=FAST, protocol=QUICK)
        assert (outcome.measured, outcome.failed) == (2, 0)
    with saved([model]) as folders:
        (folder,) = folders.values()
        monkeypatch.setitem(sys.modules, "own_layer", ModuleType("own_layer"))
        del sys.modules["own_layer"]
        with pytest.raises(ParseError, match="whose module is not imported"):
            read_model(folder)


WITHOUT_KERNEL = """
from dataclasses import dataclass
import torch
from latbench.export.rules import torch_rule
from latbench.networks.ops import Op

@dataclass(frozen=True)
class Twice(Op):
    pass

class _Twice(torch.nn.Module):
    def forward(self, x):
        return 2 * x

@torch_rule(Twice)
def _(op, shapes):
    return _Twice()
"""


@pytest.mark.skipif(not can_be_had(), reason="there is no C++ compiler")
def test_a_row_names_the_layers_that_the_runtime_has_no_kernel_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "without_kernel.py").write_text(WITHOUT_KERNEL)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    from latbench.networks.network import NetworkBuilder
    from latbench.networks.ops import Conv

    module: Any = __import__("without_kernel")
    b = NetworkBuilder((1, 3, 8, 8))
    x = b.add(module.Twice(), b.add(Conv(8, 3), b.input))
    odd = Model("odd", b.build(b.add(module.Twice(), x)))
    options = replace(FAST, steps=True)
    with Store(tmp_path / "s.sqlite", SPACE) as store:
        outcome = run_campaign(
            store, SimdSparse(), models=[odd, INVENTED], options=options, protocol=QUICK
        )
        assert (outcome.measured, outcome.failed) == (2, 0)
        rows = store.connection.execute(
            "SELECT architecture, fallbacks FROM measurements"
        ).fetchall()
        assert dict(rows) == {str(odd): "Twice by torch", str(INVENTED): None}
        assert store.find_set().fallbacks == {"Twice by torch": 1}
        steps = steps_of(store, outcome.set_id, str(odd))
        assert steps is not None
        assert len(steps) == 1 + 3 + 1  # between the conversions of the input and of the output
        assert sum(steps) > 0


def test_steps_that_a_runtime_does_not_tell_fail_the_row(tmp_path: Path) -> None:
    options = replace(FAST, steps=True)
    with Store(tmp_path / "s.sqlite", SPACE) as store:
        outcome = run_campaign(store, BACKEND, n=1, options=options, protocol=QUICK)
        assert (outcome.measured, outcome.failed) == (0, 1)
        (why,) = store.failures(outcome.set_id).values()
        assert "cannot time the steps of a network" in why


def test_a_replay_has_the_models(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    noisy = CostModelBackend(session_noise=0.1)
    with Store(path, SPACE) as store:
        run_campaign(store, noisy, n=3, models=[TRAINED], options=FAST, protocol=QUICK)
        before = store.relative(1)
    with Store(tmp_path / "b.sqlite", SPACE) as store:
        run_campaign(
            store, ReplayBackend(str(path)), n=3, models=[TRAINED], options=FAST, protocol=QUICK
        )
        after = store.relative(1)
    assert after.keys() == before.keys()
    assert after[str(TRAINED)] == pytest.approx(before[str(TRAINED)], rel=1e-3)


def test_a_wide_space_is_measured_and_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_workers(monkeypatch)
    options = replace(FAST, retest=0.5)
    with Store(tmp_path / "s.sqlite", WIDE) as store:
        first = run_campaign(store, BACKEND, n=8, models=[INVENTED], options=options)
        assert first.failed == 0
        assert run_campaign(store, BACKEND, n=8, models=[INVENTED], options=options).measured == 0
        longer = run_campaign(store, BACKEND, n=12, options=options)
        assert longer.failed == 0
        dataset = store.dataset()
        assert len(dataset) == 12
        canary = BACKEND.latency_s(CANARIES[UNIT]())
        for architecture, value in zip(dataset.architectures, dataset.values, strict=True):
            expected = BACKEND.latency_s(WIDE.build(architecture))
            assert value == pytest.approx(expected, rel=1e-3)
        assert store.find_set().anchor_s == pytest.approx(canary, rel=1e-3)
        assert store.find_set().noise_floor is not None
