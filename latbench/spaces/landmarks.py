"""The layers of a network that only training asks for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Landmarks:
    """The layers of a built network that training needs to know, by index.

    ``edges`` are for drop path: the results of all operations but the identity. ``auxiliary`` is
    for the second classifier: the layer that it reads; it has the ImageNet form where ``imagenet``.
    """

    edges: tuple[int, ...]
    auxiliary: int
    imagenet: bool
