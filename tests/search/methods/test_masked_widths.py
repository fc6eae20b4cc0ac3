"""What dmasking refuses before a search's first step, and that it searches every kind of widths."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from own_spaces import Odd, small_blocks

from latbench.errors import UsageError
from latbench.models import Model, save_model
from latbench.networks.blocks import RELU, conv_bn
from latbench.networks.ops import Elementwise
from latbench.predictors.counted import counted_model
from latbench.search import LatencyPenalty, SearchConfig, parse_method, search
from latbench.search.images.images import ImageData
from latbench.search.presets import laid_over, preset, published
from latbench.search.rng import generator
from latbench.search.searchability import check_searchable
from latbench.spaces import AnySpace, make_space, nasbench201
from latbench.spaces.assembly import Assembler
from latbench.spaces.streams import Purpose
from latbench.spaces.variables import One

CONFIG = SearchConfig("dmasking", epochs=2)
DMASKING = parse_method("dmasking")


def chain(*widths: str) -> AnySpace:
    def assemble(b: Assembler) -> int:
        x = b.add(RELU, conv_bn(b, b.input, b.number("stem.width"), 3))
        return b.add(RELU, conv_bn(b, x, 8, 1))

    return Odd([One("stem.width", widths, kind="width")], assemble)


def test_a_space_without_widths_is_refused() -> None:
    with pytest.raises(UsageError, match="'nasbench201' has no widths and no resolutions"):
        check_searchable(nasbench201(), CONFIG)


def test_widths_out_of_order_are_refused() -> None:
    DMASKING.check(chain("8", "16"), CONFIG)
    with pytest.raises(UsageError, match=r"the options of 'stem\.width' .* 16 and 8.*rising order"):
        DMASKING.check(chain("16", "8"), CONFIG)


def test_widths_that_a_backend_cannot_take_are_refused() -> None:
    parse_method("dmasking(multiple=8)").check(chain("8", "16"), CONFIG)
    with pytest.raises(UsageError, match=r"stem\.width can give .* 12 channels, and multiple = 8"):
        parse_method("dmasking(multiple=8)").check(chain("8", "12"), CONFIG)


def test_a_residual_of_widths_that_do_not_agree_is_refused() -> None:
    def assemble(b: Assembler) -> int:
        x, y = (conv_bn(b, b.input, b.number(name), 3) for name in ("a.width", "b.width"))
        return b.add(Elementwise("add"), x, y)

    names = [One(name, ("4", "8"), kind="width") for name in ("a.width", "b.width")]
    with pytest.raises(UsageError, match=r"open channels lie differently \(a\.width, b\.width\)"):
        DMASKING.check(Odd(names, assemble), CONFIG)


def test_a_temperature_that_falls_too_low_is_refused() -> None:
    with pytest.raises(UsageError, match="dmasking's temperature falls to"):
        parse_method("dmasking(decay=0.1)").check(chain("8", "16"), SearchConfig(epochs=40))


class Blind(torch.nn.Module):
    """A cost of the resolution alone."""

    def __init__(self, columns: int, seen: slice) -> None:
        super().__init__()
        self.register_buffer("seen", torch.zeros(columns))
        self.get_buffer("seen")[seen] = torch.tensor([1.0, 2.0])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 1 + x @ self.get_buffer("seen")


def test_a_predictor_that_does_not_see_widths_is_refused(digits: ImageData, tmp_path: Path) -> None:
    space = small_blocks(in_channels=1, classes=10, resolutions=(8, 17), resolution=8)
    blind = LatencyPenalty(Blind(len(space.one_hot(space.reference())), slice(0, 2)), 1.0, 1.0)
    config = SearchConfig("dmasking", epochs=1, penalty_weight=1.0)
    with pytest.raises(
        UsageError, match=r"all options of '0\.width' one cost, 4, 6 \(columns 2 to"
    ):
        search(space, digits, config, blind, directory=tmp_path / "a")
    assert not list(tmp_path.iterdir())
    parse_method("dmasking").check_penalty(
        space, LatencyPenalty.of(counted_model(space, "macs"), config)
    )
    parse_method("gdas").check_penalty(space, blind)


def test_a_width_that_random_networks_hardly_ever_have_is_seen() -> None:
    """Two of the 2 + 4^12 networks have it, and only what they cost depends on it."""

    class Within(Blind):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x * x[:, 1:2])  # way=b

    plain = [One(f"a.{i}", ("1", "2", "3", "4"), given=("way", ("a",))) for i in range(12)]
    width = One("b.width", ("8", "16"), kind="width", given=("way", ("b",)))
    space = Odd([One("way", ("a", "b")), width, *plain], lambda b: b.input)
    columns = len(space.one_hot(space.reference()))
    assert all(space.sample(0, k)["b.width"] is None for k in range(16))
    seen = LatencyPenalty(Within(columns, slice(2, 4)), 1.0, 1.0)
    seen.check_sees(space, "b.width")
    blind = LatencyPenalty(Blind(columns, slice(0, 2)), 1.0, 1.0)
    with pytest.raises(UsageError, match=r"all options of 'b\.width' one cost, 8, 16"):
        blind.check_sees(space, "b.width")


SPACES: dict[str, dict[str, object]] = {
    "fbnetv2": {}, "ofa": {}, "nats-size": {}, "resnet": {},
    "resnet, bottlenecks": {"block": "bottleneck"}, "resnet, of one network": {},
}  # fmt: skip


def space_of(name: str, folder: Path) -> AnySpace:
    family = name.partition(",")[0]
    small = {**make_space(family).small, **SPACES[name]}
    space = make_space(family, {**small, "in_channels": 1, "classes": 10})
    if "one network" not in name:
        return space
    save_model(Model("a network", space.build(space.reference())), folder / "model")
    return make_space("widths", {"model": str(folder / "model"), "step": 2})


@pytest.mark.parametrize("name", SPACES)
@pytest.mark.parametrize("what", ["macs", "parameters"])
def test_it_keeps_a_limit_in_every_space_of_widths(
    name: str, what: str, digits: ImageData, tmp_path: Path
) -> None:
    """The limit is below what the largest network has, and above the smallest."""
    space = space_of(name, tmp_path)
    few = torch.arange(48)
    size = (space.config.resolution,) * 2
    images = F.interpolate(torch.as_tensor(digits.train_images[few]), size=size)
    test = F.interpolate(torch.as_tensor(digits.test_images[few]), size=size)
    data = replace(
        digits, train_images=images, train_labels=digits.train_labels[few], test_images=test,
        test_labels=digits.test_labels[few],
    )  # fmt: skip
    model = counted_model(space, what)  # type: ignore[arg-type]
    sample = model.predict([space.sample(0, k) for k in range(60)])
    limit = float(np.quantile(sample, 0.3))
    config = SearchConfig(
        "dmasking", epochs=6, batch=8, alpha_learning_rate=0.3, target=limit,
    )  # fmt: skip
    found = search(space, data, config, LatencyPenalty.of(model, config), directory=tmp_path)
    assert found.met
    network = space.build(found.architecture)
    counted = network.macs if what == "macs" else network.parameters
    assert counted <= limit
    assert model.predict([found.architecture])[0] == pytest.approx(counted)


def test_the_preset_is_that_of_a_re_implementation() -> None:
    c = preset("dmasking", "imagenet")
    assert parse_method(str(c.method)) == parse_method("dmasking(temperature=5, decay=null)")
    assert (c.epochs, c.warmup_epochs, c.batch, c.precision) == (90, 10, 256, "bfloat16")
    assert (c.learning_rate, c.final_learning_rate, c.weight_decay) == (0.1, 0.0, 1e-4)
    assert (c.alpha_learning_rate, c.alpha_weight_decay) == (0.01, 5e-4)
    assert published("dmasking", "imagenet", "fbnetv2")["epochs"] == 90


@pytest.mark.slow
def test_a_step_at_full_size(digits: ImageData, tmp_path: Path) -> None:
    """The preset but for its batch, which takes more memory than a machine without a GPU has, and
    its epochs."""
    space, stream = make_space("fbnetv2"), torch.Generator().manual_seed(0)
    side = space.config.resolution
    images = torch.randn(4, 3, side, side, generator=stream)
    labels = torch.randint(space.config.classes, (4,), generator=stream)
    data = replace(
        digits, train_images=images, train_labels=labels, test_images=images[:2],
        test_labels=labels[:2], classes=space.config.classes, black=torch.zeros(3),
    )  # fmt: skip
    model = counted_model(space, "macs")
    config = SearchConfig(
        **laid_over("imagenet", {"method": "dmasking", "batch": 2, "epochs": 11}, "fbnetv2")
    )
    config = replace(
        config, epochs=1, warmup_epochs=0, target=float(model.predict([space.reference()])[0])
    )
    ends = list[float]()
    found = search(space, data, config, LatencyPenalty.of(model, config), directory=tmp_path,
                   stepped=ends.append)  # fmt: skip
    assert ends == [1.0]
    assert np.isfinite(found.history[0].train_accuracy)
    made = parse_method(str(config.method)).relaxation(space, generator(Purpose.SEARCH, 0, 0))
    moved = np.abs(found.course["alpha"][0] - made.state_dict()["alpha"].numpy())
    # Adam's first step has the size of the learning rate.
    assert 0 < moved.max() < 1.1 * config.alpha_learning_rate
    assert np.isfinite(found.course["alpha"]).all()


def test_the_resolution_that_tells_classes_apart_is_found(
    digits: ImageData, tmp_path: Path
) -> None:
    """Stripes of one pixel are gone at half of the size, where only clouds are left."""
    space = small_blocks(
        in_channels=1, classes=10, resolutions=(8, 16), resolution=16, stages=1, widths=(8, 12)
    )
    labels, stream = torch.arange(256) % 2, torch.Generator().manual_seed(0)
    stripes = 2 * (torch.arange(16) % 2 * 2 - 1).float().expand(16, 16)
    clouds = torch.randn(256, 1, 8, 8, generator=stream).repeat_interleave(2, 2)
    images = labels[:, None, None, None] * stripes + clouds.repeat_interleave(2, 3)
    data = replace(
        digits, train_images=images, train_labels=labels, test_images=images[:16],
        test_labels=labels[:16], shift=0,
    )  # fmt: skip
    config = SearchConfig(
        "dmasking", epochs=6, batch=8, learning_rate=0.05, alpha_learning_rate=0.1,
        alpha_weight_decay=0.0,
    )  # fmt: skip
    odds = search(space, data, config, directory=tmp_path).probabilities["resolution"]
    assert odds[1] > 0.75
