"""``latbench measure --sweep``: networks at several batches, resolutions and options."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
from importing.onnx_texts import drawn, model, saved

from latbench.models import Model, save_model
from latbench.networks.network import NetworkBuilder
from latbench.networks.ops import Linear
from latbench.networks.weights import make_weights
from latbench.store import Store
from latbench.zoo.published_networks import published_network

Cli = Callable[..., tuple[int, str, str]]
FAKE = "latbench.testing.fake:CostModelBackend"
SPACE = "nasbench201(channels=4, cells=1, resolution=8)"
CELL = "|nor_conv_3x3~0|+|nor_conv_3x3~0|none~1|+|nor_conv_3x3~0|none~1|none~2|"
MEASURE = ("measure", "--backend", FAKE, "--space", SPACE, "--no-parity", "--store", "s.sqlite")
SMALL = ("--network", "mobilenet_v3_small")


def done(result: tuple[int, str, str]) -> str:
    code, out, err = result
    assert code == 0, err
    return out


def rows(cli: Cli, *arguments: str) -> list[dict[str, Any]]:
    return list(json.loads(done(cli(*MEASURE, *arguments, "--json"))))


def test_a_batch_is_one_run_and_its_images_the_throughput(cli: Cli, tmp_path: Path) -> None:
    """Case 22 of what people ask for: one image or a batch?"""
    save_rows(tmp_path / "rows")
    found = rows(
        cli,
        *SMALL,
        CELL,
        "--model",
        "rows",
        "--sweep",
        "batch=1,4",
        "--retest",
        "0",
        "--plot",
        "c.svg",
    )
    assert [(r["network"], r["batch"], r["sweep"]) for r in found] == [
        (name, batch, {"batch": batch})
        for name in (CELL, "rows", "mobilenet_v3_small") for batch in (1, 4)
    ]  # fmt: skip
    for one, four in zip(found[::2], found[1::2], strict=True):
        assert four["macs"] == 4 * one["macs"]
        assert four["parameters"] == one["parameters"]
        # Of a run: the part that goes with the multiply-adds is four times as long.
        more = 1e-10 * 3 * one["macs"]
        assert four["latency_s"] - one["latency_s"] == pytest.approx(more, rel=0.05, abs=1e-8)
        assert four["images_per_s"] == pytest.approx(4 / four["latency_s"])
        assert four["images_per_s"] > one["images_per_s"]
    assert found[0]["text"] == CELL  # what it is in the store's space is that architecture
    assert found[1]["model"] == f"{CELL} batch=4"
    assert found[2]["input_shape"] == [1, 32]
    assert (tmp_path / "c.svg").read_text().startswith("<svg")
    with Store(tmp_path / "s.sqlite") as store:
        (one_set,) = store.sets()
        assert one_set.ok == 6
    again = done(
        cli(*MEASURE, *SMALL, CELL, "--model", "rows", "--sweep", "batch=1,4", "--retest", "0")
    )
    assert "0 rows measured, 0 failed" in again
    assert "images" in again  # its headings are broken where the table is narrow
    assert "mobilenet_v3_small computes the most images a second at batch=4: " in again
    assert "cannot be told from that at batch=1" in again  # nothing was timed twice


def save_rows(path: Path) -> None:
    b = NetworkBuilder((1, 32))
    network = b.build(b.add(Linear(4), b.input))
    save_model(Model("rows", network, make_weights(network)), path)


def test_sizes_of_images_are_swept_in_one_store(cli: Cli) -> None:
    """Cases 13 and 25: two sizes beside each other, and sizes that are not square."""
    found = rows(
        cli, *SMALL, CELL, "--sweep", "resolution=32,48x64", "--sweep", "batch=1,2", "--retest", "0"
    )
    assert [(r["network"], r["input_shape"]) for r in found] == [
        (name, [batch, 3, *pixels])
        for name in (CELL, "mobilenet_v3_small")
        for pixels in ((32, 32), (48, 64)) for batch in (1, 2)
    ]  # fmt: skip
    assert found[4]["model"] == "mobilenet_v3_small@32"
    assert found[7]["model"] == "mobilenet_v3_small@48x64 batch=2"
    assert found[6]["macs"] == published_network("mobilenet_v3_small", (48, 64)).macs
    assert len({r["set"] for r in found}) == 1
    assert found[4]["latency_s"] < found[6]["latency_s"]


def test_what_is_within_the_noise_is_not_told(cli: Cli) -> None:
    noisy = ("--option", "session_noise=0.3", "--option", "base_s=1", "--sweep")
    out = done(cli(*MEASURE, CELL, *noisy, "resolution=8,12"))
    assert f"whether {CELL} is faster at resolution=8 or at resolution=12 cannot be told" in out
    assert "which cannot be told from that at resolution=" in out


def test_an_option_is_swept_in_turns(cli: Cli, tmp_path: Path) -> None:
    found = rows(cli, CELL, "--sweep", "seed=1,2", "--plot", "c.png")
    assert [(r["network"], r["options"]["seed"]) for r in found] == [(CELL, 1), (CELL, 2)]
    assert (tmp_path / "c.png").read_bytes().startswith(b"\x89PNG")
    with Store(tmp_path / "s.sqlite") as store:
        assert [s.retested for s in store.sets()] == [1, 1]
        ((first, again), (other, other_again)) = [
            [
                at for (at,) in store.connection.execute(
                    "SELECT avg(finished) FROM measurements WHERE set_id = ? GROUP BY repeat"
                    " ORDER BY repeat", (s.id,),
                )
            ]
            for s in store.sets()
        ]  # fmt: skip
        assert first < other < again < other_again


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--sweep", "batch="), "'batch=' is no sweep; expected a name and values, such as"),
        (("--sweep", "batch"), "'batch' is no sweep"),
        (("--sweep", "=1,2"), "'=1,2' is no sweep"),
        (("--sweep", "batch=1,,2"), "'' in the sweep 'batch=1,,2' is none of the whole numbers"),
        (("--sweep", "batch=one"), "'one' in the sweep 'batch=one' is none of the whole numbers"),
        (("--sweep", "batch=0"), "from 1 to 999,999"),
        (("--sweep", "batch=2x2"), "none of the whole numbers"),
        (("--sweep", "batch=1,2,1"), "the sweep 'batch=1,2,1' has 1 twice"),
        (("--sweep", "resolution=64,64x64"), "has 64 twice"),
        (("--sweep", "resolution=8.5"), "none of the sizes in pixels such as 224 or 224x160"),
        (("--sweep", "resolution=16"), "at least 17 pixels, got 16"),
        (("--sweep", "threads=1,2"), "has no option 'threads' to sweep; it takes a sweep of batch, "
                                     "resolution, seed, fault_every"),
        (("--sweep", "noise=1,2"), "the option 'noise' of backend 'cost-model' is float"),
        (("--sweep", "batch=1", "--sweep", "batch=2"), "batch is swept twice"),
        (("--sweep", "seed=1", "--option", "seed=2"), "seed is given by --option and by --sweep"),
        (("--sweep", "batch=1", "-n", "3"), "leave -n out"),
        (("--sweep", "batch=1", "--plot", "c.gif"), "--plot writes .png or .svg"),
        (("--sweep", "batch=1", "--plot", "no/c.png"), "'no/c.png', whose folder does not exist"),
        (("--plot", "c.png"), "--plot draws the curves of a sweep"),
        (("--network", "mobilenet_v2@64", "--sweep", "resolution=32"), "leave '@64' out"),
        (("--model", "rows", "--sweep", "resolution=32"), "reads 1 x 32, which are no images"),
        (("--sweep", "batch=" + ",".join(map(str, range(1, 1002)))), "has 1,001 points"),
    ],
)  # fmt: skip
def test_what_cannot_be_swept_is_refused_before_anything_is_timed(
    cli: Cli, tmp_path: Path, arguments: tuple[str, ...], sentence: str
) -> None:
    save_rows(tmp_path / "rows")
    code, out, err = cli(*MEASURE, *SMALL, *arguments)
    assert (code, out) == (2, "")
    assert sentence in err
    assert len(err.strip().splitlines()) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["rows"]


def test_a_sweep_is_of_named_networks(cli: Cli, tmp_path: Path) -> None:
    code, _, err = cli(*MEASURE, "--sweep", "batch=1,2")
    assert code == 2
    assert "name some, with --network, --model or as architectures" in err
    assert list(tmp_path.iterdir()) == []


def test_a_real_runtime_is_swept_over_threads_and_batches(cli: Cli, tmp_path: Path) -> None:
    """A smaller batch is faster on any machine."""
    save_rows(tmp_path / "rows")
    (one, many) = json.loads(
        done(
            cli("measure", "--backend", "onnxruntime", "--space", SPACE, "--no-parity",
                "--store", "s.sqlite", "--model", "rows", "--sweep", "batch=1,100000",
                "--retest", "0", "--json")
        )
    )  # fmt: skip
    assert one["latency_s"] < many["latency_s"]
    assert many["images_per_s"] > one["images_per_s"]
    assert many["memory_bytes"] > one["memory_bytes"]


def test_a_file_is_read_again_for_each_batch(cli: Cli, tmp_path: Path) -> None:
    made = model(
        "g (float[1,3,8,8] x) => (float[1,4,6,6] y) { y = Conv(x, w) }", w=drawn(4, 3, 3, 3)
    )
    path = saved(tmp_path, made)
    code, out, err = cli(*MEASURE, "--onnx", str(path), "--sweep", "batch=1,4", "--retest", "0")
    assert code == 0, err
    assert "net batch=4" in "".join(out.split("\n")) or "net" in out
    found = Model.from_onnx(path).at_batch(4, "net batch=4")
    assert found.network.output_shape == (4, 4, 6, 6)
    assert found.source is not None
    (read,) = onnx.load_from_string(found.source).graph.input
    assert read.type.tensor_type.shape.dim[0].dim_value == 4
    code, _, err = cli(*MEASURE, "--onnx", str(path), "--sweep", "resolution=8,16")
    assert (code, "export it at other sizes" in " ".join(err.split())) == (2, True)
