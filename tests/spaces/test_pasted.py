"""What people paste: log lines, tuples, indices and dictionaries of other code."""

from __future__ import annotations

import json
import re
import warnings
from pathlib import Path

import pytest

from latbench.errors import ParseError
from latbench.spaces import darts, make_space, nasbench201
from latbench.spaces.cells.genotypes import CELLS, OPERATIONS, PUBLISHED

CALL = (
    "Genotype(normal=[('skip_connect', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), "
    "('sep_conv_3x3', 2), ('sep_conv_3x3', 1), ('skip_connect', 0), ('sep_conv_3x3', 0), "
    "('skip_connect', 1)], normal_concat=range(2, 6), reduce=[('max_pool_3x3', 0), "
    "('max_pool_3x3', 1), ('max_pool_3x3', 0), ('skip_connect', 2), ('max_pool_3x3', 0), "
    "('dil_conv_5x5', 3), ('skip_connect', 2), ('skip_connect', 3)], reduce_concat=range(2, 6))"
)
TEXT = (
    "normal:|skip_connect~0|sep_conv_3x3~1|+|sep_conv_3x3~0|sep_conv_3x3~2|+"
    "|skip_connect~0|sep_conv_3x3~1|+|sep_conv_3x3~0|skip_connect~1|;"
    "reduce:|max_pool_3x3~0|max_pool_3x3~1|+|max_pool_3x3~0|skip_connect~2|+"
    "|max_pool_3x3~0|dil_conv_5x5~3|+|skip_connect~2|skip_connect~3|"
)
OTHER = CALL.replace("skip_connect", "sep_conv_5x5")
STAMP = "2018-06-27 13:25:46,379"
AMOEBA = (
    "AmoebaNet = Genotype(normal=[('avg_pool_3x3', 0), ('max_pool_3x3', 1), ('sep_conv_3x3', 0), "
    "('sep_conv_5x5', 2), ('sep_conv_3x3', 0), ('avg_pool_3x3', 3), ('sep_conv_3x3', 1), "
    "('skip_connect', 1), ('skip_connect', 0), ('avg_pool_3x3', 1)], normal_concat=[4, 5, 6], "
    "reduce=[('avg_pool_3x3', 0), ('sep_conv_3x3', 1), ('max_pool_3x3', 0), ('sep_conv_7x7', 2), "
    "('sep_conv_7x7', 0), ('avg_pool_3x3', 1), ('max_pool_3x3', 0), ('max_pool_3x3', 1), "
    "('conv_7x1_1x7', 0), ('sep_conv_3x3', 5)], reduce_concat=[3, 4, 6])"
)


def edges(text: str) -> dict[str, list[tuple[str, int]]]:
    """The edges of each cell of a canonical text."""
    found = {}
    for part in text.split(";"):
        name, cell = part.split(":")
        found[name] = [(op, int(i)) for op, i in re.findall(r"(\w+)~(\d)", cell)]
    return found


def refused(text: str, space: str = "darts") -> str:
    with pytest.raises(ParseError) as caught:
        make_space(space).parse(text)
    return str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        f"{STAMP} genotype = {CALL}",
        f"DARTS_V3 = {CALL}",
        CALL.replace(", ", ",\n    ").replace("range(2,\n    6)", "[2, 3, 4, 5]"),
        f"{STAMP} args = Namespace(arch='DARTS')\n{STAMP} epoch 0 lr 2.5e-02\n"
        f"{STAMP} genotype = {CALL}\n{STAMP} valid_acc 97.24\n",
    ],
)
def test_a_genotype_inside_of_other_text(text: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert str(darts().parse(text)) == TEXT


def test_of_a_whole_log_the_last_genotype_is_taken_and_that_is_said() -> None:
    step = f"{STAMP} train 000 1.2e+00 54.6 95.3\n" * 200
    log = "".join(f"{step}{STAMP} genotype = {c}\n" for c in (OTHER, OTHER, CALL)) + step
    with pytest.warns(UserWarning, match="the text has 3 genotypes; the last one is taken"):
        assert str(darts().parse(log)) == TEXT


def test_a_log_that_was_cut_is_not_guessed() -> None:
    assert "does not end" in refused(f"genotype = {CALL[:200]}")
    assert "the last Genotype(...) of the text does not end" in refused(f"{CALL}\n{OTHER[:300]}")


def test_other_spaces_genotypes_are_refused_by_the_cause() -> None:
    message = refused(AMOEBA)
    assert "its normal cell has 10 edges and not 8; its reduce cell has 10 edges" in message
    assert "'sep_conv_7x7' and 'conv_7x1_1x7' are no operations of DARTS (max_pool_3x3," in message
    assert "normal_concat is [4, 5, 6] and not 2 to 5" in message
    assert "reduce_concat is [3, 4, 6]" in message


def test_tuples_of_nasbench301() -> None:
    pairs = {c: [(i, OPERATIONS.index(op)) for op, i in edges(TEXT)[c]] for c in CELLS}
    for text in (str(tuple(map(tuple, pairs.values()))), str([*pairs.values()])):
        assert str(darts().parse(text)) == TEXT
    with_none = tuple([(i, op + 1) for i, op in pairs[c]] for c in CELLS)
    message = refused(str(with_none))
    assert "the tuple has the operation 7; NAS-Bench-301 numbers them 0 to 6" in message
    assert "subtract 1" in message
    assert "two cells of eight pairs" in refused("((0, 1), (2, 3))")
    assert "its reduce cell has 7 edges" in refused(str((pairs["normal"], pairs["reduce"][1:])))


def configuration(text: str, prefix: str) -> dict[str, str]:
    """NAS-Bench-301's dictionary of a genotype, by its rule: edges are counted node by node."""
    found = {}
    for cell, of in edges(text).items():
        first = 0
        for node in range(4):
            kept = of[2 * node : 2 * node + 2]
            for op, i in kept:
                found[f"{prefix}edge_{cell}_{first + i}"] = op
            if node:
                name = f"{prefix}inputs_node_{cell}_{node + 2}"
                found[name] = "_".join(str(i) for _, i in sorted(kept, key=lambda e: e[1]))
            first += node + 2
    return found


@pytest.mark.parametrize("prefix", ["", "NetworkSelectorDatasetInfo:darts:"])
def test_dictionaries_of_nasbench301(prefix: str) -> None:
    for published in (TEXT, *PUBLISHED.values()):
        values = configuration(published, prefix)
        assert str(darts().parse(str(values))) == published
        assert str(darts().parse(json.dumps(values))) == published
    values = configuration(TEXT, "")
    assert "'inputs_node_normal_4'" in refused(
        str({k: v for k, v in values.items() if k != "inputs_node_normal_4"})
    )
    assert "no 'edge_normal_0'" in refused(
        str({k: v for k, v in values.items() if k != "edge_normal_0"})
    )


def test_a_genotypes_fields_as_a_dictionary() -> None:
    values = {**edges(TEXT), "normal_concat": [2, 3, 4, 5]}
    assert str(darts().parse(json.dumps(values))) == TEXT
    values["normal_concat"] = [2, 3, 4, 5, 6]
    assert "normal_concat is [2, 3, 4, 5, 6]" in refused(json.dumps(values))


def test_indices_of_nasbench201_are_the_benchmarks() -> None:
    """From the benchmark's issues: D-X-Y/NATS-Bench 18 and 19, and HW-NAS-Bench's README."""
    space = nasbench201()
    for index, text in (
        (
            0, "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+"
            "|nor_conv_1x1~0|skip_connect~1|skip_connect~2|",
        ),
        (
            1, "|nor_conv_3x3~0|+|nor_conv_3x3~0|avg_pool_3x3~1|+"
            "|skip_connect~0|nor_conv_3x3~1|skip_connect~2|",
        ),
        (
            2211, "|none~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|skip_connect~1|"
            "nor_conv_1x1~2|",
        ),
    ):  # fmt: skip
        assert str(space.parse(f"nb201#{index}")) == text
        assert str(space.parse(f" NAS-Bench-201#{index}\n")) == text
        assert str(space.unrank(index)) != text
    assert len({space.parse(f"nb201#{i}") for i in range(0, 15_625, 25)}) == 625
    assert "0 to 15,624, got 15,625" in refused("nb201#15625", "nasbench201")


OFFICIAL = Path(__file__).resolve().parents[3] / "shared/data/help_nb201.npz"


@pytest.mark.skipif(not OFFICIAL.is_file(), reason="the benchmark's strings are not here")
def test_all_indices_are_the_benchmarks() -> None:
    import numpy as np

    from latbench.spaces.cells.nasbench201_space import rank_of_index

    with np.load(OFFICIAL, allow_pickle=False) as data:
        texts = data["arch"].tolist()
    space = nasbench201()
    assert [rank_of_index(i) for i in range(15_625)] == [space.rank(space.parse(t)) for t in texts]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("1234", "write nb201#1234"),
        ("(4, 0, 3, 1, 2, 2)", "Six numbers mean different operations in different code"),
        ("[3,3,3,3,3,3]", "write their names"),
        ("nb201#-1", "is not a NAS-Bench-201 cell"),
        ("nb201#9999999999", "is not a NAS-Bench-201 cell"),
    ],
)
def test_numbers_of_nasbench201_that_could_be_anything_are_refused(text: str, words: str) -> None:
    assert words in refused(text, "nasbench201")


def test_hw_nas_benchs_dictionaries() -> None:
    cell = str(nasbench201().reference())
    values = {"name": "infer.tiny", "C": 16, "N": 5, "arch_str": cell, "num_classes": 10}
    assert str(nasbench201().parse(str(values))) == cell
    assert "num_classes='120'" in refused(str({**values, "num_classes": 120}), "nasbench201")
    assert "no text 'arch_str'" in refused("{'C': 16}", "nasbench201")
    space = make_space("fbnet")
    numbers = [(7 * i + 3) % 9 for i in range(22)]
    ours = {"dataset": "ImageNet", "num_classes": 1000, "op_idx_list": numbers}
    options = ("k3_e1", "k3_e1_g2", "k3_e3", "k3_e6", "k5_e1", "k5_e1_g2", "k5_e3", "k5_e6", "skip")
    assert list(space.parse(str(ours)).values().values()) == [options[k] for k in numbers]
    assert "other strides" in refused(str({**ours, "dataset": "cifar100"}), "fbnet")
    assert "22 whole numbers" in refused(str({**ours, "op_idx_list": numbers[1:]}), "fbnet")
    assert "expected 0 to 8" in refused(str({**ours, "op_idx_list": [9] * 22}), "fbnet")
    assert "100" in refused(str({**ours, "num_classes": 100}), "fbnet")


def test_once_for_alls_dictionaries() -> None:
    space = make_space("ofa")
    kernels, expansions = [3, 5, 7, 3] * 5, [3, 4, 6, 6] * 5
    values = {"wid": None, "ks": kernels, "e": expansions, "d": [2, 3, 4, 2, 2], "r": [224]}
    found = space.parse(str(values))
    assert [found[f"{i}.depth"] for i in range(1, 6)] == ["2", "3", "4", "2", "2"]
    assert (found["3.4.kernel"], found["3.4.expansion"]) == ("3", "6")
    assert found["resolution"] == "224"
    assert space.parse(json.dumps({**values, "r": 224})) == found
    assert "'r': [224]" in refused(str({k: v for k, v in values.items() if k != "r"}), "ofa")
    assert "width 1.2" in refused(str({**values, "wid": 1.2}), "ofa")
    assert "20 whole numbers" in refused(str({**values, "ks": kernels[1:]}), "ofa")
    assert "1.depth is '7'" in refused(str({**values, "d": [7] * 5}), "ofa")


def test_a_dictionary_of_a_spaces_own_variables() -> None:
    space = make_space("proxyless")
    reference = space.reference()
    assert space.parse(str(reference.values())) == reference
    assert "has no variable 'depth_of_1'" in refused("{'depth_of_1': 3}", "proxyless")


@pytest.mark.parametrize(
    "text", ["{", "{'a': __import__('os')}", "{1: 2}", "[" * 5000, "{'a': [" * 3000, "{'a'}"]
)
def test_what_only_begins_like_a_dictionary_is_refused(text: str) -> None:
    for space in ("darts", "nasbench201", "ofa"):
        assert len(refused(text, space)) < 1000
