"""The definition of an encoding.

One of your own, for a predictor that names it in its class (``encoding = Shape()``):

    class Shape(Encoding):
        name = "shape"
        version = 1

        def encode(self, space, architectures, networks):
            return [[len(n.layers), math.log(n.macs)] for n in networks]
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from latbench.errors import UsageError
from latbench.networks.network import Network
from latbench.spaces import AnySpace

Array = npt.NDArray[np.float32]


class Encoding(ABC):
    """A way to write architectures, or networks, as vectors of numbers.

    A saved predictor has the name and the version on its card, and is refused where either is
    another: raise ``version`` when the vectors change their meaning.
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1
    # Whether all networks of a space have vectors of one width; if not, encode pads those that are
    # encoded together with zeros, and a predictor takes any width.
    fixed_width: ClassVar[bool] = True

    @abstractmethod
    def encode(
        self, space: AnySpace | None, architectures: Sequence[Any], networks: Sequence[Network]
    ) -> Any:
        """Encodes one or more networks, one a row.

        Args:
            space: Their space; None for networks of no space.
            architectures: The architectures as values of the space; empty where there is none.
            networks: The networks. Those of architectures are built one by one as they are asked
                for, and not kept, so an encoding of architectures costs no network.

        Returns:
            Numbers ``(n, d)``, stored as float32.

        Raises:
            UsageError: Without a space, when the encoding is one of its architectures.
        """

    def one_hot_matrix(self, space: AnySpace) -> Array | None:
        """Returns ``M (d_one_hot, d)`` with ``one_hot @ M`` equal to this encoding everywhere.

        None where there is none. A predictor with a gradient in an encoding that has one can guide
        a search, which relaxes the one-hot encoding.
        """
        return None


def require_space(encoding: Encoding, space: AnySpace | None) -> AnySpace:
    """Returns ``space``. Raises UsageError without one, for an encoding of its architectures."""
    if space is None:
        raise UsageError(
            f"the encoding {encoding.name!r} is of a space's architectures, and these networks are "
            "of none; use cost, layers or graph"
        )
    return space
