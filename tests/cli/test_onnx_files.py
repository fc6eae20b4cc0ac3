"""Networks from ONNX files on the command line: ``--onnx``, ``--shape`` and ``--input``."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from onnx_texts import CHAIN, HALF, QUANTISED, file_of

from latbench.cli.naming_models import names_of, onnx_models, parse_shape, read_input
from latbench.errors import UsageError
from latbench.models import Model, read_model
from latbench.store import Store
from latbench.testing.networks import several_inputs

Cli = Callable[..., tuple[int, str, str]]
FAKE = "latbench.testing.fake:CostModelBackend"
OPEN = CHAIN.replace("[1,2,6,6]", "[N,2,H,6]").replace("float[1,3]", "float[N,3]")
# 1,3 channels, so that there is something to prune, of images of handwritten digits.
DIGITS = """
<ir_version: 8, opset_import: ["": 17]>
digits (float[1,1,8,8] image, float[16,1,3,3] first, float[16] b1, float[16,16,3,3] second,
        float[16] b2, float[10,16] last, float[10] b3) => (float[1,10] scores)
{
    a = Conv<pads = [1, 1, 1, 1]>(image, first, b1)
    b = Relu(a)
    c = Conv<pads = [1, 1, 1, 1]>(b, second, b2)
    d = Relu(c)
    e = GlobalAveragePool(d)
    f = Flatten(e)
    scores = Gemm<transB = 1>(f, last, b3)
}
"""


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with files, in which the command runs."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "nets"
    folder.mkdir()
    for name, text in {"chain": CHAIN, "open": OPEN, "quantised": QUANTISED}.items():
        (folder / f"{name}.onnx").write_bytes(file_of(text))
    (folder / "half.ONNX").write_bytes(file_of(HALF))
    (folder / "readme.txt").write_text("no network")
    return folder


def test_files_are_measured_as_they_are(cli: Cli, files: Path) -> None:
    """Case 40 of what users ask: a network of one's own, in whatever types it has."""
    source = several_inputs().source
    assert source is not None
    (files / "several.onnx").write_bytes(source)
    np.save("words.npy", np.array([[4, 0, 4]]))
    code, out, err = cli(
        "measure", "--onnx", "nets", "--shape", "image=1,2,6,6", "--input", "words=words.npy",
        "--backend", "onnxruntime", "--retest", "0", "--store", "s.sqlite",
    )  # fmt: skip
    assert code == 0, err
    assert "5 rows measured, 0 failed" in out
    assert err.count("mask is all ones") == 1
    assert "words" not in err  # which was given
    with Store("s.sqlite") as store:
        found = store.find_set().id
        for path in ("nets/chain.onnx", "nets/quantised.onnx"):
            model = Model.from_onnx(path)
            assert (store.value(found, str(model)) or 0) > 0
            assert store.value(found, str(model), "size") == len(model.source or b"")


def test_a_file_lacks_a_size(cli: Cli, files: Path) -> None:
    code, _, err = cli("measure", "--onnx", "nets/open.onnx", "--store", "s.sqlite")
    assert code == 2
    assert re.search(r"^error: nets/open\.onnx: the input 'image' .* --shape image=", err)
    assert not Path("s.sqlite").exists()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("--onnx gone.onnx", "there is no ONNX file at gone.onnx"),
        ("--onnx empty", "the folder empty has no .onnx files"),
        ("--onnx nets/readme.txt", "nets/readme.txt is no ONNX model"),
        ("--onnx nets/chain.onnx --shape imag=1,2,6,6", "unknown input 'imag'; did you mean"),
        ("--onnx nets/chain.onnx --onnx nets/open.onnx --shape imag=1,2,6,6",
         "unknown input 'imag'; did you mean 'image'? expected one of image"),
        ("--onnx nets/chain.onnx --shape image=1,2,a,6", "--shape 'image=1,2,a,6' is no shape"),
        ("--onnx nets/chain.onnx --shape image=1,3,6,6", "it cannot be of (1, 3, 6, 6)"),
        ("--onnx nets/chain.onnx --input image.npy", "--input 'image.npy' names no input"),
        ("--onnx nets/chain.onnx --input image=gone.npy", "gone.npy cannot be read"),
        ("--onnx nets/chain.onnx --input image=nets/readme.txt", "is no .npy file"),
        ("--onnx nets/chain.onnx --input image=small.npy", "of shape (1, 2, 6, 6)"),
        ("--shape image=1,2,6,6 -n 1", "name one with --onnx"),
        ("--input image=small.npy -n 1", "name one with --onnx"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_said_before_anything_is_timed(
    cli: Cli, files: Path, words: str, says: str
) -> None:
    Path("empty").mkdir()
    np.save("small.npy", np.ones((1, 2, 3), np.float32))
    code, out, err = cli("measure", *words.split(), "--backend", FAKE, "--store", "s.sqlite")
    assert (code, out) == (2, "")
    assert says in " ".join(err.split())
    assert not Path("s.sqlite").exists()


def test_files_are_compared_between_backends(cli: Cli, files: Path) -> None:
    named = ("--onnx", "nets/chain.onnx", "--onnx", "nets/half.ONNX", "--store", "s.sqlite")
    code, out, err = cli("compare-backends", *named, "--backend", FAKE, "--json")
    assert code == 0, err
    rows = json.loads(out)
    assert [(row["model"], row["backend"]) for row in rows] == [("chain", FAKE), ("half", FAKE)]
    assert all(row["latency_s"] > 0 and row["speedup"] == 1 for row in rows)
    code, _, err = cli("compare-backends", *named, "-n", "3", "--backend", FAKE)
    assert code == 2
    assert "leave -n and --out out" in err


@pytest.mark.slow
def test_what_one_backend_does_not_run_is_said_and_the_others_go_on(cli: Cli, files: Path) -> None:
    command = ("compare-backends", "--onnx", "nets/chain.onnx", "--onnx", "nets/quantised.onnx",
               "--backend", "onnxruntime", "--backend", "torch-eager", "--store",
               "s.sqlite")  # fmt: skip
    code, out, err = cli(*command)
    assert code == 0
    assert "quantised on torch-eager: BackendError: the operator QuantizeLinear at 'small'" in err
    code, out, _ = cli(*command, "--json")
    found = {(row["model"], row["backend"]): row for row in json.loads(out)}
    assert len(found) == 4
    assert found["quantised", "torch-eager"]["latency_s"] is None
    assert found["quantised", "onnxruntime"]["speedup"] == 1
    faster = found["chain", "torch-eager"]["speedup"]
    expected = found["chain", "onnxruntime"]["latency_s"]
    assert faster == pytest.approx(expected / found["chain", "torch-eager"]["latency_s"])


def test_a_file_is_predicted_by_what_reads_any_network(
    cli: Cli, files: Path, tmp_path: Path
) -> None:
    space = "nasbench201(channels=4,cells=1,resolution=8)"
    measured = ("--space", space, "--backend", FAKE, "--store", "s.sqlite")
    assert cli("measure", *measured, "-n", "20")[0] == 0
    for predictor, folder in (("ridge-cost", "costs"), ("ridge-counts", "counts")):
        fitted = cli("fit", "--store", "s.sqlite", "--predictor", predictor, "--out", folder,
                     "--folds", "2")  # fmt: skip
        assert fitted[0] == 0, fitted[2]
    name = Store("s.sqlite").space.reference()
    code, out, err = cli(
        "predict", str(name), "--model", "costs", "--onnx", "nets/chain.onnx", "--onnx",
        "nets/quantised.onnx", "--interval", "90%", "--json",
    )  # fmt: skip
    assert code == 0, err
    rows = json.loads(out)
    assert [row["architecture"] for row in rows] == [
        str(name), *(str(Model.from_onnx(f"nets/{n}.onnx")) for n in ("chain", "quantised"))
    ]  # fmt: skip
    assert all(row["latency_s_low"] < row["latency_s"] < row["latency_s_high"] for row in rows)
    assert [row["unlike_training"] for row in rows[1:]] == [True, True]
    assert "operators that latbench has no layer kind for, such as QuantizeLinear at small" in err
    code, _, err = cli("predict", "--model", "counts", "--onnx", "nets/chain.onnx")
    assert code == 2
    assert "cannot predict a network from outside" in err
    assert "--predictor gnn" in err


def test_a_file_is_shown_without_being_measured(cli: Cli, files: Path) -> None:
    code, out, err = cli("show", "nets/open.onnx", "--shape", "image=2,2,4,6", "--json")
    assert code == 0, err
    (found,) = json.loads(out)
    assert (found["model"], found["input_shape"]) == ("open", [2, 2, 4, 6])
    assert found["macs"] == 2 * 4 * 6 * 3 * 2 * 9
    assert [layer["kind"] for layer in found["layers"]] == [
        "Input", "Conv", "Activation", "GlobalAvgPool", "Flatten"
    ]  # fmt: skip
    code, _, err = cli("show", "nets/readme.txt")
    assert code == 2
    assert "nets/readme.txt is no ONNX model" in err


def test_a_file_is_profiled(cli: Cli, files: Path) -> None:
    profiled = ("profile", "--backend", FAKE, "--visits", "1", "--runs", "1")
    code, out, err = cli(*profiled, "--onnx", "nets/open.onnx", "--shape", "image=2,2,4,6")
    assert code == 0, err
    assert "open on cost-model: kernels as they run" in out
    np.save("image.npy", np.ones((1, 2, 6, 6), np.float32))
    code, out, err = cli(
        "profile", "--onnx", "nets/chain.onnx", "--input", "image=image.npy", "--visits", "1",
        "--runs", "1", "--json",
    )  # fmt: skip
    assert code == 0, err
    found = {tuple(k["layers"]): k for k in json.loads(out)["kernels"] if k["layers"]}
    assert list(found) == [(1, 2), (3,), (4,)]
    assert (found[3,]["kernel"], found[3,]["does"]) == (
        "GlobalAveragePool pooled", ["global avg pool"]
    )  # fmt: skip


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("--onnx nets", "nets has 4 ONNX files; name one of them"),
        ("--onnx nets/chain.onnx --network resnet18", "got 2"),
        ("--onnx nets/no.onnx", "there is no ONNX file at nets/no.onnx"),
        ("--onnx nets/open.onnx", "such as --shape image=1,2,1,6"),
        ("--onnx nets/chain.onnx --input words=x.npy", "the input x.npy cannot be read"),
        ("--network resnet18 --shape image=1,2,6,6", "name one with --onnx"),
        ("--onnx nets/quantised.onnx --backend torch-eager", "QuantizeLinear at 'small'"),
    ],
)
def test_what_cannot_be_profiled_is_said(cli: Cli, files: Path, words: str, says: str) -> None:
    if words.endswith("nets"):
        words += " --shape image=1,2,6,6"
    code, out, err = cli("profile", *words.split())
    assert (code, out) == (2, "")
    assert says in " ".join(err.split())


@pytest.mark.slow
def test_a_file_is_pruned(cli: Cli, files: Path) -> None:
    Path("digits.onnx").write_bytes(file_of(DIGITS))
    options = ("--backend", FAKE, "--option", "base_s=1e-6", "--option", "s_per_layer=1e-9",
               "--option", "s_per_mac=1e-8", "-n", "12", "--epochs", "1", "--rounds", "1",
               "--step", "4")  # fmt: skip
    code, out, err = cli(
        "prune", "--onnx", "digits.onnx", "--budget", "50%", "--out", "p", *options, "--json"
    )
    assert code == 0, err
    assert "digits: its weights are not in the file, and were invented" in err
    (found,) = json.loads(out)
    assert found["kept"]
    assert found["latency_s"] < 0.6 * found["latency_before_s"]
    pruned = read_model("p/50%/model")
    assert pruned.source is None
    assert pruned.network.parameters < Model.from_onnx("digits.onnx").network.parameters


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("", "name one model to prune"),
        ("saved --onnx nets/chain.onnx", "name one model to prune"),
        ("saved --shape image=1,2,6,6", "name the file with --onnx"),
        ("--onnx nets", "ONNX files; name one of them"),
        ("--onnx nets/quantised.onnx", "nets/quantised.onnx cannot be trained: the operator "
                                       "QuantizeLinear at 'small'"),
        ("--onnx nets/chain.onnx", "expects images (2, 6, 6)"),
    ],
)  # fmt: skip
def test_what_cannot_be_pruned_is_said_first(cli: Cli, files: Path, words: str, says: str) -> None:
    (files / "open.onnx").unlink()
    code, out, err = cli("prune", *words.split(), "--budget", "50%", "--out", "p",
                         "--backend", FAKE)  # fmt: skip
    assert (code, out) == (2, "")
    assert says in " ".join(err.split())
    assert not Path("p").exists()


def test_names_tell_files_apart(tmp_path: Path) -> None:
    assert names_of([Path("a/x.onnx"), Path("b/y.onnx")]) == ["x", "y"]
    assert names_of([Path("a/x.onnx"), Path("b/x.onnx")]) == ["a/x", "b/x"]
    assert names_of([tmp_path / "one.v2.onnx"]) == ["one.v2"]


@pytest.mark.parametrize("text", ["x=1,3,4", "x = 1, 3, 4", "x=1x3x4"])
def test_a_shape_is_read(text: str) -> None:
    assert parse_shape(text.replace(" =", "=")) == ("x", (1, 3, 4))


@pytest.mark.parametrize(
    "text", ["", "x", "x=", "=1,2", "x=0,1", "x=-1", "x=1.5", "x=1,,2", "x=²", "x=1e9",
             "x=9999999999", "x=" + ",".join("1" * 99)],
)  # fmt: skip
def test_what_is_no_shape_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="such as input=1,3,224,224"):
        parse_shape(text)


def test_an_array_is_read_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    np.save(path, np.arange(6).reshape(2, 3))
    np.testing.assert_array_equal(read_input(path), [[0, 1, 2], [3, 4, 5]])
    whole = path.read_bytes()
    for data in (whole[:-8], whole[:20], b"", whole.replace(b"(2, 3)", b"(9, 9)")):
        path.write_bytes(data)
        with pytest.raises(UsageError, match=r"a\.npy"):
            read_input(path)
    np.save(path, np.array([{}], object), allow_pickle=True)
    with pytest.raises(UsageError, match=r"no \.npy file of plain numbers"):
        read_input(path)
    np.savez(tmp_path / "b.npz", a=np.ones(1))
    with pytest.raises(UsageError, match="holds no array"):
        read_input(tmp_path / "b.npz")


def test_a_shape_is_for_the_files_that_have_its_input(files: Path) -> None:
    paths = [files / "open.onnx", files / "half.ONNX"]
    found = onnx_models(paths, ["image=1,2,6,6"], [])
    assert [model.network.input_shape for model in found] == [(1, 2, 6, 6), (1, 2, 4, 4)]
