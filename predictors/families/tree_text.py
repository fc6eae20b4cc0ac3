"""The check of a LightGBM text model before LightGBM reads it.

LightGBM trusts its files: a child index or an offset outside the tree makes it read foreign memory
or never return. So the text is taken apart here, every index is checked, and only what was checked
is put together again. The offsets (``tree_sizes``) are left out; LightGBM then reads in order.
"""

from __future__ import annotations

import re

import numpy as np

from latbench.errors import ParseError

_HEADER = (
    "tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\nlabel_index=0\n"
    "max_feature_idx={last}\nobjective=regression\nfeature_names={names}\nfeature_infos={infos}\n"
)
_MAX_LEAVES, _MAX_FEATURES = 4096, 100_000


def _fail(what: str) -> ParseError:
    return ParseError(f"the saved LightGBM model is damaged: {what}; save the predictor again")


def _ints(values: dict[str, str], key: str, count: int, low: int, high: int) -> list[int]:
    """``count`` integers of ``key``, each in ``low`` to ``high``."""
    words = values.get(key, "").split()
    if len(words) != count or not all(re.fullmatch(r"-?\d{1,9}", w) for w in words):
        raise _fail(f"{key} must be {count} integers")
    numbers = [int(w) for w in words]
    if not all(low <= n <= high for n in numbers):
        raise _fail(f"{key} must lie from {low} to {high}")
    return numbers


def _floats(values: dict[str, str], key: str, count: int) -> list[str]:
    """The ``count`` finite numbers of ``key``, as they are written."""
    words = values.get(key, "").split()
    if len(words) != count or not all(re.fullmatch(r"[-+0-9.eE]{1,40}", w) for w in words):
        raise _fail(f"{key} must be {count} numbers")
    try:
        finite = all(np.isfinite(float(w)) for w in words)
    except ValueError:
        finite = False
    if not finite:
        raise _fail(f"{key} must be finite numbers")
    return words


def _fields(block: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in block.splitlines() if "=" in line)


def _tree(index: int, block: str, features: int) -> str:
    values = _fields(block)
    leaves = _ints(values, "num_leaves", 1, 1, _MAX_LEAVES)[0]
    splits = leaves - 1
    children = {
        key: _ints(values, key, splits, -leaves, splits - 1)
        for key in ("left_child", "right_child")
    }
    for nodes in children.values():
        # A child that is not a leaf was made after its parent: no walk can go round in a circle.
        if any(0 <= child <= parent for parent, child in enumerate(nodes)):
            raise _fail(f"tree {index} has a circle")
    linear = _ints(values, "num_features", leaves, 0, features)
    checked: dict[str, list[int] | list[str]] = {
        "num_leaves": [leaves],
        "num_cat": _ints(values, "num_cat", 1, 0, 0),
        "split_feature": _ints(values, "split_feature", splits, 0, features - 1),
        "threshold": _floats(values, "threshold", splits),
        # Bit 0 would be a categorical split, which points into another table.
        "decision_type": [d & ~1 for d in _ints(values, "decision_type", splits, 0, 10)],
        **children,
        "leaf_value": _floats(values, "leaf_value", leaves),
        "is_linear": _ints(values, "is_linear", 1, 1, 1),
        "leaf_const": _floats(values, "leaf_const", leaves),
        "num_features": linear,
        "leaf_features": _ints(values, "leaf_features", sum(linear), 0, features - 1),
        "leaf_coeff": _floats(values, "leaf_coeff", sum(linear)),
        "shrinkage": _floats(values, "shrinkage", 1),
    }
    lines = [f"{key}={' '.join(map(str, numbers))}" for key, numbers in checked.items()]
    return "\n".join([f"Tree={index}", *lines, ""])


def checked_model_text(text: str) -> tuple[str, int]:
    """Returns an equivalent model text in which every index is known to be good, and its feature
    count.

    Takes what ``Booster.model_to_string`` gives for a regression with linear trees and no
    categorical features. Raises ParseError for anything else.
    """
    body, found, _ = text.partition("\nend of trees")
    header, *blocks = re.split(r"\nTree=\d{1,9}\n", body)
    if not found or not blocks:
        raise _fail("it ends too early or holds no tree")
    values = _fields(header)
    features = _ints(values, "max_feature_idx", 1, 0, _MAX_FEATURES)[0] + 1
    names = " ".join(f"Column_{i}" for i in range(features))
    infos = " ".join(["[0:1]"] * features)
    top = _HEADER.format(last=features - 1, names=names, infos=infos)
    trees = [_tree(i, block, features) for i, block in enumerate(blocks)]
    return "\n".join([top, *trees, "end of trees\n"]), features
