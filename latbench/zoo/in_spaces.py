"""The published networks that lie in a search space, whose layers are the space's."""

from __future__ import annotations

from latbench.spaces import make_space
from latbench.spaces.chains.proxyless_space import WIDTHS
from latbench.zoo.published_entry import Accuracy, PublishedNetwork

_LOG = "mit-han-lab/proxylessnas, logs/imagenet_{}_log.txt"
_PROXYLESS = {
    "proxyless_cpu": Accuracy(75.29, _LOG.format("cpu")),
    "proxyless_gpu": Accuracy(75.084, _LOG.format("gpu")),
    "proxyless_mobile": Accuracy(74.594, _LOG.format("mobile")),
    "proxyless_mobile_14": Accuracy(
        76.7, "mit-han-lab/proxylessnas, README.md of 2018-12-19 (3cec3ed)"
    ),
}
_MOBILE_VISION = "facebookresearch/mobile-vision, mobile_cv/{}"
_SPOS = "megvii-model/SinglePathOneShot"
_PROXYLESS_TEXTS = make_space("proxyless").published
_OFA = make_space("ofa")

IN_SPACES = (
    *(
        PublishedNetwork(
            name, 224, _MOBILE_VISION.format("arch/fbnet_v2/fbnet_modeldef_cls_fbnet.py"),
            space=f"fbnet(head={head})", architecture=name,
            accuracy=Accuracy(
                top1,
                _MOBILE_VISION.format("model_zoo/models/model_info/fbnet_v2/model_info_fbnet.json"),
            ),
        )
        for name, head, top1 in (
            ("fbnet_a", 1504, 73.298), ("fbnet_b", 1984, 74.5441), ("fbnet_c", 1984, 75.2499),
        )
    ),
    *(
        PublishedNetwork(
            name, 224, f"han-cai/files, proxylessnas/{name}.config",
            space=f"proxyless(widths=({' '.join(map(str, WIDTHS[name]))}))",
            # The last one has the same blocks at other widths.
            architecture=_PROXYLESS_TEXTS.get(name, _PROXYLESS_TEXTS["proxyless_mobile"]),
            accuracy=accuracy,
        )
        for name, accuracy in _PROXYLESS.items()
    ),
    *(
        PublishedNetwork(
            name, int(str(_OFA.parse(text)["resolution"])), "han-cai/files, ofa/ofa_specialized",
            space="ofa", architecture=name,
        )
        for name, text in _OFA.published.items()
    ),
    PublishedNetwork(
        "ofa_max_12", 224, "mit-han-lab/once-for-all, ofa_mbv3.py", space="ofa(width=1.2)",
        architecture=_OFA.published["ofa_max"],
    ),
    *(
        PublishedNetwork(
            name, 224, _SPOS, space="spos", architecture=name,
            accuracy=Accuracy(74.4, f"{_SPOS}, README.md: an error of 25.6")
            if name == "spos" else None,
        )
        for name in make_space("spos").published
    ),
    *(
        PublishedNetwork(
            name, 224, "pytorch/vision, torchvision/models/resnet.py",
            space=f"resnet(block={block})", architecture=name,
            accuracy=Accuracy(top1, f"pytorch.org/vision, models.{name}, IMAGENET1K_V1"),
        )
        for name, block, top1 in (
            ("resnet18", "basic", 69.758), ("resnet34", "basic", 73.314),
            ("resnet50", "bottleneck", 76.13),
        )
    ),
    PublishedNetwork(
        "resnet20_cifar", 32, "latbench/spaces/chains/resnet_space.py: ours, after the paper's",
        space="resnet(stem=cifar, widths=(32 64 128))", architecture="resnet20_cifar", classes=10,
    ),
)  # fmt: skip
