"""What every space promises, run by every space."""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
import subprocess
import sys
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import spaces, spaces_and_architectures

from latbench.errors import UsageError
from latbench.spaces import SPACES, AnySpace, make_space, space_from_identity

every_space = pytest.mark.parametrize("name", SPACES)

# By sampler, as it was first published: a change here makes every stored sample unrepeatable.
FIRST = {
    "darts": {
        (0, 0): "normal:|sep_conv_3x3~0|avg_pool_3x3~1|+|avg_pool_3x3~0|max_pool_3x3~2|"
        "+|sep_conv_3x3~2|sep_conv_5x5~3|+|sep_conv_3x3~3|sep_conv_3x3~4|"
        ";reduce:|sep_conv_5x5~0|dil_conv_3x3~1|+|sep_conv_3x3~0|max_pool_3x3~1|"
        "+|avg_pool_3x3~2|max_pool_3x3~3|+|skip_connect~0|max_pool_3x3~3|",
        (1, 0): "normal:|dil_conv_3x3~0|dil_conv_5x5~1|+|dil_conv_5x5~0|avg_pool_3x3~2|"
        "+|dil_conv_3x3~0|avg_pool_3x3~3|+|sep_conv_3x3~1|max_pool_3x3~2|"
        ";reduce:|dil_conv_3x3~0|dil_conv_3x3~1|+|dil_conv_3x3~1|sep_conv_3x3~2|"
        "+|dil_conv_5x5~0|sep_conv_3x3~1|+|avg_pool_3x3~0|dil_conv_5x5~1|",
        (2**32, 12345): "normal:|max_pool_3x3~0|avg_pool_3x3~1|+|avg_pool_3x3~0|dil_conv_5x5~1|"
        "+|sep_conv_3x3~1|dil_conv_5x5~2|+|max_pool_3x3~2|max_pool_3x3~4|"
        ";reduce:|avg_pool_3x3~0|dil_conv_3x3~1|+|dil_conv_5x5~1|dil_conv_5x5~2|"
        "+|dil_conv_5x5~2|dil_conv_3x3~3|+|skip_connect~0|max_pool_3x3~4|",
    },
    "nasbench201": {
        (0, 0): "|avg_pool_3x3~0|+|nor_conv_3x3~0|nor_conv_1x1~1|"
        "+|skip_connect~0|skip_connect~1|none~2|",
        (1, 0): "|nor_conv_1x1~0|+|nor_conv_1x1~0|nor_conv_3x3~1|"
        "+|avg_pool_3x3~0|none~1|none~2|",
        (2**32, 12345): "|none~0|+|nor_conv_3x3~0|none~1|"
        "+|skip_connect~0|nor_conv_1x1~1|skip_connect~2|",
    },
}  # fmt: skip


SECOND = {
    "darts": {
        (0, 0): "normal:|sep_conv_3x3~0|sep_conv_3x3~1|+|sep_conv_3x3~0|sep_conv_3x3~2|"
        "+|avg_pool_3x3~0|skip_connect~1|"
        "+|dil_conv_3x3~1|max_pool_3x3~3|;reduce:|dil_conv_3x3~0|avg_pool_3x3~1|"
        "+|max_pool_3x3~0|sep_conv_3x3~2|+|skip_connect~0|sep_conv_3x3~1|"
        "+|max_pool_3x3~2|max_pool_3x3~3|",
        (1, 0): "normal:|max_pool_3x3~0|max_pool_3x3~1|+|dil_conv_3x3~0|avg_pool_3x3~1|"
        "+|avg_pool_3x3~1|skip_connect~3|"
        "+|dil_conv_5x5~0|avg_pool_3x3~4|;reduce:|max_pool_3x3~0|dil_conv_5x5~1|"
        "+|max_pool_3x3~0|sep_conv_5x5~2|+|dil_conv_5x5~1|sep_conv_5x5~2|"
        "+|avg_pool_3x3~3|sep_conv_5x5~4|",
        (2**32, 12345): "normal:|sep_conv_3x3~0|sep_conv_5x5~1|+|skip_connect~0|dil_conv_5x5~2|"
        "+|avg_pool_3x3~1|skip_connect~2|"
        "+|sep_conv_3x3~2|sep_conv_3x3~3|;reduce:|skip_connect~0|skip_connect~1|"
        "+|sep_conv_3x3~0|sep_conv_3x3~1|+|max_pool_3x3~0|sep_conv_5x5~3|"
        "+|max_pool_3x3~0|sep_conv_5x5~2|",
    },
    "nasbench201": {
        (0, 0): "|avg_pool_3x3~0|+|nor_conv_1x1~0|nor_conv_1x1~1|"
        "+|nor_conv_1x1~0|skip_connect~1|none~2|",
        (1, 0): "|skip_connect~0|+|avg_pool_3x3~0|none~1|"
        "+|none~0|nor_conv_3x3~1|none~2|",
        (2**32, 12345): "|nor_conv_1x1~0|+|nor_conv_1x1~0|nor_conv_3x3~1|"
        "+|nor_conv_1x1~0|none~1|none~2|",
    },
}  # fmt: skip
GOLDEN = {1: FIRST, 2: SECOND}
NUMBERED: dict[str, list[int]] = {
    "fbnet": [
        264_476_613_205_413_118_682,
        890_504_296_044_279_329_622,
        377_559_437_321_939_644_813,
    ],
    "fbnetv2": [
        76_489_995_564_233_412_192_522_404_907_882_635,
        140_232_207_316_751_579_027_897_355_979_118_390,
        31_929_762_100_240_998_735_414_380_776_628_991,
    ],
    "nats-size": [
        30_426,
        15_878,
        18_272,
    ],
    "ofa": [
        33_284_661_444_135_746_224,
        13_874_194_514_820_228_084,
        4_802_679_249_763_187_613,
    ],
    "operators": [
        982985214433509573335302258143,
        365177961910581224512971444108,
        20437528987761871559334581713,
    ],
    "proxyless": [
        104_031_692_436_185_957,
        12_001_214_271_002_498,
        76_445_129_485_864_503,
    ],
    "resnet": [
        64_591,
        25_217,
        48_210,
    ],
    "spos": [
        1_041_342_218_583,
        335_088_923_405,
        179_115_614_374,
    ],
}


@settings(deadline=None)
@given(spaces_and_architectures())
def test_text_is_canonical(pair: tuple[AnySpace, Any]) -> None:
    space, architecture = pair
    text = str(architecture)
    again = space.parse(text)
    assert again == architecture
    assert hash(again) == hash(architecture)
    assert str(again) == text
    assert space.parse(f"  {text}\n") == architecture


@pytest.mark.parametrize(("sampler", "name"), [(s, name) for s in GOLDEN for name in GOLDEN[s]])
def test_the_streams_never_change(name: str, sampler: int) -> None:
    space = make_space(name).with_sampler(sampler)
    golden = GOLDEN[sampler][name]
    assert {key: str(space.sample(*key)) for key in golden} == golden


@pytest.mark.parametrize("name", NUMBERED)
def test_the_streams_of_chains_never_change(name: str) -> None:
    """By their numbers, which never change either."""
    space = make_space(name)
    drawn = [space.sample(seed, index) for seed, index in ((0, 0), (1, 0), (2**32, 12345))]
    assert [space.rank(a) for a in drawn] == NUMBERED[name]
    assert [space.unrank(rank) for rank in NUMBERED[name]] == drawn


def test_every_space_has_a_stream_that_never_changes() -> None:
    assert {*SECOND, *NUMBERED} == set(SPACES)


@every_space
def test_another_process_draws_the_same_architectures(name: str) -> None:
    code = (
        "from latbench.spaces import make_space; "
        f"print(*(a for _, a in make_space({name!r}).unique_samples(5, 20)), sep='\\n')"
    )
    environment = os.environ | {"PYTHONHASHSEED": "123"}
    printed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    ).stdout
    assert printed.splitlines() == [str(a) for _, a in make_space(name).unique_samples(5, 20)]


@every_space
def test_sampling_leaves_no_trace_and_heeds_no_global_state(name: str) -> None:
    space = make_space(name)
    expected = [space.sample(3, i) for i in range(5)]
    np.random.seed(1)
    assert [space.sample(3, i) for i in reversed(range(5))] == expected[::-1]


@every_space
def test_a_sample_does_not_depend_on_the_configuration(name: str) -> None:
    other = {"classes": 7, "batch": 2, "in_channels": 1}
    if name in ("darts", "nasbench201"):
        other["channels"] = 4
    assert make_space(name).sample(0, 4) == make_space(name, other).sample(0, 4)


@every_space
@pytest.mark.parametrize(("seed", "index"), [(-1, 0), (0, -1)])
def test_negative_seeds_are_refused(name: str, seed: int, index: int) -> None:
    with pytest.raises(UsageError, match="0 or more"):
        make_space(name).sample(seed, index)


@every_space
def test_unique_samples(name: str) -> None:
    space = make_space(name)
    long = list(space.unique_samples(0, 400))
    indices, architectures = zip(*long, strict=True)
    assert len(set(architectures)) == 400
    assert list(indices) == sorted(set(indices))
    assert all(space.sample(0, i) == a for i, a in long)
    assert list(space.unique_samples(0, 150)) == long[:150]
    assert list(space.unique_samples(1, 3)) != long[:3]
    skipped = set(range(indices[-1])) - set(indices)
    seen = set(map(space.canonical, architectures))
    assert all(space.canonical(space.sample(0, i)) in seen for i in skipped)


@every_space
def test_impossible_numbers_of_samples_are_refused_before_the_first(name: str) -> None:
    space = make_space(name)
    for n in (0, -1, space.size + 1):
        with pytest.raises(UsageError, match="cannot sample"):
            space.unique_samples(0, n)


@settings(deadline=None)
@given(spaces_and_architectures())
def test_vectors_are_float32_and_of_one_length(pair: tuple[AnySpace, Any]) -> None:
    space, architecture = pair
    for encode in (space.one_hot, space.counts):
        vector = encode(architecture)
        assert vector.dtype == np.float32
        assert vector.shape == encode(space.reference()).shape
        assert vector.ndim == 1
        assert (vector >= 0).all()
        np.testing.assert_array_equal(vector, encode(space.parse(str(architecture))))


@every_space
def test_one_hot_tells_architectures_apart(name: str) -> None:
    space = make_space(name)
    vectors = {space.one_hot(a).tobytes() for _, a in space.unique_samples(0, 500)}
    assert len(vectors) == 500


@every_space
def test_the_reference_is_in_the_space(name: str) -> None:
    space = make_space(name)
    assert space.parse(str(space.reference())) == space.reference() == make_space(name).reference()


@settings(deadline=None, max_examples=30)
@given(spaces_and_architectures())
def test_a_network_is_a_function_of_the_space_and_the_architecture(
    pair: tuple[AnySpace, Any],
) -> None:
    space, architecture = pair
    network = space.build(architecture)
    assert network == space.build(space.parse(str(architecture)))
    assert network.input_shape == space.input_shape(lambda name: int(str(architecture[name])))
    assert network.output_shape == (space.config.batch, space.config.classes)


@settings(deadline=None, max_examples=20)
@given(spaces_and_architectures(), st.integers(2, 4))
def test_work_grows_with_the_batch_and_weights_do_not(
    pair: tuple[AnySpace, Any], batch: int
) -> None:
    space, architecture = pair
    values = space.identity()["config"]
    one, many = (
        make_space(space.name, values | {"batch": n}).build(architecture) for n in (1, batch)
    )
    assert many.macs == batch * one.macs
    assert many.parameters == one.parameters


@settings(deadline=None)
@given(spaces())
def test_identity_round_trip(space: AnySpace) -> None:
    identity = json.loads(json.dumps(space.identity()))
    again = space_from_identity(identity)
    assert again == space
    assert hash(again) == hash(space)
    assert type(again) is type(space)
    assert str(again) == repr(again) == str(space)


def test_spaces_are_equal_when_their_identities_are() -> None:
    different: list[AnySpace] = [
        make_space("darts"),
        make_space("nasbench201"),
        make_space("darts", {"channels": 16}),
        make_space("darts", {"stem": "imagenet"}),
        make_space("nasbench201", {"batch": 2}),
    ]
    for a, b in itertools.combinations(different, 2):
        assert a != b
        assert str(a) != str(b)
    assert len(set(different)) == len(different)
    assert make_space("darts", {"channels": 36}) == make_space("darts")
    assert make_space("darts") != "darts"


def test_the_text_of_a_space() -> None:
    assert str(make_space("nasbench201", {"cells": 2})) == (
        "nasbench201(channels=16, cells=2, classes=10, resolution=32, in_channels=3, batch=1)"
    )
    assert "stem=imagenet" in str(make_space("darts", {"stem": "imagenet"}))


def test_a_file_of_another_version_is_refused() -> None:
    identity = make_space("darts").identity()
    with pytest.raises(UsageError, match="encoding 99"):
        space_from_identity(identity | {"encoding_version": 99})


@pytest.mark.parametrize(
    "change", [{"name": None}, {"name": "nope"}, {"config": None}, {"config": "x"}, {"config": [1]}]
)
def test_a_broken_identity_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        space_from_identity(make_space("darts").identity() | change)


def test_an_unknown_space_names_the_known_ones() -> None:
    with pytest.raises(
        UsageError,
        match=r"unknown space 'drats'; did you mean 'darts'[?] expected one of darts, fbnet, ",
    ):
        make_space("drats")


@every_space
def test_a_misspelt_setting_names_the_right_ones(name: str) -> None:
    with pytest.raises(UsageError, match=r"no setting 'clases'; did you mean 'classes'[?] it has "):
        make_space(name, {"clases": 16})


@every_space
@pytest.mark.parametrize("value", [True, 2.0, "16", None, [16], 0, -1, 10**7, 10**30])
def test_wrong_values_are_refused(name: str, value: object) -> None:
    fields = dataclasses.fields(make_space(name).config)
    for setting in (f.name for f in fields if type(f.default) is int):
        with pytest.raises(UsageError, match=f"^{setting} must be "):
            make_space(name, {setting: value})
        with pytest.raises(UsageError, match=f"^{setting} must be "):
            type(make_space(name).config)(**{setting: value})


def test_wrong_stems_are_refused() -> None:
    for value in ("vgg", "", 3, None):
        with pytest.raises(UsageError, match="stem must be"):
            make_space("darts", {"stem": value})
    with pytest.raises(UsageError, match="at least 2 channels"):
        make_space("darts", {"stem": "imagenet", "channels": 1})


def assert_uniform(counts: Counter[Any], choices: int) -> None:
    """Pearson's chi-squared within five standard deviations of its mean."""
    expected = counts.total() / choices
    chi = sum((n - expected) ** 2 / expected for n in counts.values())
    chi += (choices - len(counts)) * expected
    assert chi <= (choices - 1) + 5 * (2 * (choices - 1)) ** 0.5


def test_nasbench201_samples_are_uniform() -> None:
    space = make_space("nasbench201")
    samples = [space.sample(0, i) for i in range(2000)]
    for edge in range(6):
        assert_uniform(Counter(a.code[edge] for a in samples), 5)
    assert_uniform(Counter((a.code[0], a.code[5]) for a in samples), 25)


def test_darts_samples_are_uniform() -> None:
    space = make_space("darts")
    samples = [space.sample(0, i) for i in range(2000)]
    for cell, node in itertools.product(("normal", "reduce"), range(4)):
        name, pairs = f"{cell}.{node}", (node + 2) * (node + 1) // 2
        assert_uniform(Counter(a[name] for a in samples), pairs)
        read = (tuple(a[f"{name}.{s}"] for s in a[name] or ()) for a in samples)
        assert_uniform(Counter(read), 49)
