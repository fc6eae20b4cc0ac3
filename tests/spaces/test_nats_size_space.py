from __future__ import annotations

import pytest

from latbench.errors import ParseError, UsageError
from latbench.networks.ops import BatchNorm
from latbench.spaces import make_space, parse_space
from latbench.spaces.chains.nats_size_space import NatsSizeSpace

SPACE = NatsSizeSpace()
# Number, parameters and multiply-adds for CIFAR-10 as the benchmark states them, the latter with
# the linear layer's ten biases: D-X-Y/NATS-Bench, fake_torch_dir/NATS-sss-v1_0-50262-simple, and
# notebooks/create-query-sss.ipynb for number 12.
STATED = {
    "8:8:8:8:8": (0, 0.011714, 4.481114),
    "8:8:8:16:32": (11, 0.049202, 6.84065),
    "8:8:8:16:40": (12, 0.067378, 7.991706),
    "8:8:40:32:40": (284, 0.144834, 21.827994),
}


def test_its_size_and_its_name() -> None:
    assert SPACE.size == 32_768
    assert parse_space(str(SPACE)) == SPACE == make_space("nats-size")
    assert parse_space("nats-size(classes=120, resolution=16)").config.classes == 120


@pytest.mark.parametrize("text", STATED)
def test_published_counts(text: str) -> None:
    """The benchmark's skip connections are identities between layers of one width, and ours have a
    convolution there, of 16 x 16 and 8 x 8 pixels."""
    _, parameters, macs = STATED[text]
    network = SPACE.build(SPACE.parse(text))
    widths = [int(width) for width in text.split(":")]
    pairs = zip(widths[1::2], widths[2::2], (16, 8), strict=True)
    same = [(c, size) for c, d, size in pairs if c == d]
    assert network.parameters == round(parameters * 1e6) + sum(c * c + 2 * c for c, _ in same)
    assert network.macs + 10 == round(macs * 1e6) + sum((c * size) ** 2 for c, size in same)


@pytest.mark.parametrize("text", STATED)
def test_numbers_are_the_benchmarks(text: str) -> None:
    architecture = SPACE.parse(text)
    assert SPACE.rank(architecture) == STATED[text][0]
    assert SPACE.unrank(STATED[text][0]) == architecture
    assert str(architecture) == text


def test_widths_are_variables() -> None:
    architecture = SPACE.parse(" 64 : 32:8:48:16 ")
    assert list(architecture.values().items())[:2] == [("1.width", "64"), ("2.width", "32")]
    (graph,) = SPACE.drawing(architecture)
    found = [(step.name, step.channels, step.size) for step in graph.steps[1:-1]]
    assert found == [("1", 64, 32), ("2", 32, 16), ("3", 8, 16), ("4", 48, 8), ("5", 16, 8)]


def test_the_search_network_normalises_by_the_batch() -> None:
    """But in its two residual blocks, of two norms each."""
    for search, plain in ((True, 4), (False, 23)):
        ops = [layer.op for layer in SPACE.supernet(search).layers]
        norms = [op for op in ops if isinstance(op, BatchNorm)]
        assert len(norms) == 23
        assert sum(norm.affine for norm in norms) == plain
        assert all(norm.running is norm.affine for norm in norms)


@pytest.mark.parametrize(
    "text",
    ["", "8", "8:8:8:8", "8:8:8:8:8:8", "8:8:8:8:9", "8:8:8:8:08", "8;8;8;8;8", "a:b:c:d:e",
     "8:8:8:8:8" + " " * 2000 + ":8", "1.width=8"],
)  # fmt: skip
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ParseError, match="is not a size of NATS-Bench; expected 5 widths"):
        SPACE.parse(text)


def test_wrong_numbers_and_settings_are_refused() -> None:
    with pytest.raises(UsageError, match="numbers its architectures 0 to 32767, got 32768"):
        SPACE.unrank(32_768)
    with pytest.raises(UsageError, match="widths must be 1 to"):
        make_space("nats-size", {"widths": (8, 0)})
    with pytest.raises(UsageError, match="widths must be in rising order"):
        _ = make_space("nats-size", {"widths": (8, 8)}).size
