"""A fitted predictor bound to its space and backend: architectures in, seconds (or bytes) out."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import numpy.typing as npt
from sklearn.base import clone

from latbench._version import __version__
from latbench.encodings import encode, encoding_of
from latbench.encodings.by_name import encode_networks, width_of
from latbench.errors import LatbenchError, ParseError, SpaceMismatchError, UsageError
from latbench.files import replacing_folder
from latbench.networks.network import Network
from latbench.predictors.base import LatencyPredictor, no_gradient
from latbench.predictors.card import (
    CARD_FILE,
    FORMAT_VERSION,
    Card,
    as_json,
    library_versions,
    read_card,
)
from latbench.predictors.novelty import NOVELTY_ENCODING, NOVELTY_FILE, Novelty, beyond
from latbench.predictors.registry import predictor_name, require_restorable
from latbench.predictors.restoring import digest_of, restore_predictor
from latbench.spaces import AnySpace, space_from_identity
from latbench.spaces.architecture import Architecture
from latbench.store.dataset import LatencyDataset
from latbench.text import html_facts
from latbench.timing.metric import Metric, parse_metric

if TYPE_CHECKING:
    import torch


Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class LatencyModel:
    """A model that predicts latency, or another metric, of a space's architectures on one backend
    and device.

    ``novelty`` tells architectures that are unlike the training sample; None in a model that was
    saved before there was one.
    """

    space: AnySpace
    predictor: LatencyPredictor
    card: Card
    novelty: Novelty | None = None

    @classmethod
    def fit(
        cls,
        dataset: LatencyDataset,
        predictor: LatencyPredictor,
        *,
        metrics: Mapping[str, tuple[float, float, float]] | None = None,
        out_of_fold: Sequence[float] | npt.NDArray[np.float64] | None = None,
    ) -> LatencyModel:
        """Fits a copy of ``predictor`` on all of ``dataset``.

        Args:
            dataset: The measurements.
            predictor: The predictor.
            metrics: Cross-validated figures for the card; ``compare`` gives them.
            out_of_fold: The predictions ``(n,)`` of every row by a fit without it, for intervals;
                ``compare`` gives them.

        Returns:
            The model.

        Raises:
            UsageError: As ``LatencyPredictor.fit`` raises it.
            NotEnoughData: As ``LatencyPredictor.fit`` raises it.
        """
        encoding = encoding_of(predictor.encoding)
        fitted = clone(predictor).fit(dataset.encode(encoding), dataset.values)
        if out_of_fold is not None:
            fitted.calibrate(dataset.values, out_of_fold)
        card = Card(
            latbench=__version__,
            predictor=predictor_name(predictor),
            params=as_json(predictor.get_params(), "a predictor's parameters"),
            encoding=encoding.name,
            encoding_version=encoding.version,
            space=as_json(dataset.space.identity(), "a space's identity"),
            backend=dataset.backend,
            device=dataset.device,
            metric=dataset.metric.name,
            conditions=as_json(dataset.conditions, "the conditions of a measurement"),
            samples=len(dataset),
            fingerprint=dataset.fingerprint(),
            noise_floor=dataset.noise_floor,
            metrics=None if metrics is None else dict(metrics),
            versions=library_versions(),
        )
        return cls(dataset.space, fitted, card, Novelty.fit(dataset.encode(NOVELTY_ENCODING)))

    @property
    def metric(self) -> Metric:
        """Returns the metric that it predicts."""
        return parse_metric(self.card.metric)

    def __repr__(self) -> str:
        told = "; ".join(f"{name} {value}" for name, value in self.card.facts().items())
        return f"<LatencyModel of {self.metric.label}: {told}; {self.space}>"

    def _repr_html_(self) -> str:
        """What a notebook shows: the card, errors beside the noise floor."""
        values = {**self.card.facts(), "space": self.space}
        return html_facts(f"LatencyModel of {self.metric.label}", values)

    @overload
    def predict(
        self, architectures: Sequence[Any] | LatencyDataset, space: AnySpace | None = None,
        return_interval: None = None,
    ) -> Floats: ...  # fmt: skip

    @overload
    def predict(
        self, architectures: Sequence[Any] | LatencyDataset, space: AnySpace | None = None, *,
        return_interval: float,
    ) -> tuple[Floats, Floats, Floats]: ...  # fmt: skip

    def predict(
        self,
        architectures: Sequence[Any] | LatencyDataset,
        space: AnySpace | None = None,
        return_interval: float | None = None,
    ) -> Floats | tuple[Floats, Floats, Floats]:
        """Predicts values in ``metric.unit`` (seconds for latency), float64, one an architecture.

        It takes values of the space or their texts, or a dataset.

        With ``return_interval``, a level such as 0.9: also the ends of an interval that covers a
        measurement with that probability, for architectures like the training sample.
        Raises SpaceMismatchError when ``space``, or an architecture, is of another space,
        UsageError or NotEnoughData for an interval that the model cannot give.
        """
        encoded = encode(self.space, self._taken(architectures, space), self.predictor.encoding)
        if return_interval is None:
            return self.predictor.predict(encoded)
        return self.predictor.predict(encoded, return_interval=return_interval)

    def predict_networks(
        self, networks: Sequence[Network], return_interval: float | None = None
    ) -> Floats | tuple[Floats, Floats, Floats]:
        """Predicts networks that are no architectures of the space, as ``predict`` does those.

        Raises UsageError where the predictor reads what only architectures have, and for a layer
        of a kind or size that the space's networks do not have, where it knows those alone.
        """
        try:
            encoded = encode_networks(networks, self.predictor.encoding, self.space)
        except UsageError as error:
            raise UsageError(
                f"the predictor {self.card.predictor!r} cannot predict a network from outside of "
                f"{self.space.name!r} ({error}); fit one that reads any network: `latbench fit "
                "--predictor gnn`"
            ) from error
        if return_interval is None:
            return self.predictor.predict(encoded)
        return self.predictor.predict(encoded, return_interval=return_interval)

    def novelty_of(self, architectures: Sequence[Any]) -> Floats | None:
        """Returns how unlike the training sample each architecture is, float64 ``(n,)``.

        Above 1, its prediction and its interval are an extrapolation. The result is None when the
        model does not know its sample. Raises SpaceMismatchError for an architecture of another
        space.
        """
        taken = self._taken(architectures)
        if self.novelty is None:
            return None
        return self.novelty(encode(self.space, taken, NOVELTY_ENCODING))

    def outside_range(self, values: npt.ArrayLike) -> npt.NDArray[np.bool_] | None:
        """Returns which of its predictions lie outside the training values by more than a little.

        ``values`` are in the metric's unit; a little is ``novelty.MARGIN``. The result is None when
        the model does not know its sample: one carried over from another device has seen few values
        of this one.
        """
        return None if self.novelty is None else beyond(values, self.predictor.range_)

    @property
    def range_text(self) -> str:
        """Returns the smallest and the largest training value: ``1.00 to 2.50 ms``."""
        low, high = map(float, self.predictor.range_)
        return f"{self.metric.figure(low)} to {self.metric.figure(high)} {self.metric.shown_unit}"

    def unlike_sample(self, architecture: Any) -> str | None:
        """Returns a sentence about an architecture that is unlike the training sample, else None.

        It is also one about an architecture that is predicted outside the training values; the
        sentence says which.
        """
        distance, value = self.novelty_of([architecture]), self.predict([architecture])
        outside = self.outside_range(value)
        reasons = []
        if distance is not None and distance[0] > 1:
            reasons.append(
                f"unlike the {self.card.samples} networks that the predictor was fitted on "
                f"({distance[0]:.1f} times the distance that one in a hundred of them passes)"
            )
        if outside is not None and outside[0]:
            reasons.append(
                f"predicted outside the {self.range_text} that the predictor was fitted on "
                f"({self.metric.show(float(value[0]), 3)})"
            )
        if not reasons:
            return None
        said = " and ".join(reasons)
        return f"{architecture} is {said}: measure it before you trust its prediction"

    def _taken(self, architectures: Any, space: AnySpace | None = None) -> list[Any]:
        """Architectures as values of the model's space."""
        if space is not None:
            _require_space(self.space, space)
        if isinstance(architectures, LatencyDataset):
            architectures = architectures.architectures
        if not isinstance(architectures, Iterable) or _is_one(architectures):
            raise UsageError("a model predicts a list of architectures; write [architecture]")
        taken = [self.space.parse(a) if isinstance(a, str) else a for a in architectures]
        for architecture in taken:
            if not isinstance(architecture, Architecture):
                raise SpaceMismatchError(
                    f"the model is for architectures of {self.space}, got a "
                    f"{type(architecture).__name__}"
                )
            if architecture.space.name != self.space.name:
                raise SpaceMismatchError(
                    f"the model is for architectures of {self.space}, got one of "
                    f"{architecture.space.name!r}; fit a model for its space"
                )
        return taken

    def as_module(self, deviations: float = 0.0) -> torch.nn.Module:
        """Returns a frozen torch module from the space's *one-hot* encoding ``(m, d)`` to values
        ``(m,)``.

        It is one-hot, because that is what a search relaxes, whatever the predictor reads: one of
        operation counts gets the sum of the entries, see ``Encoding.one_hot_matrix``, and a sum
        over layers, in spaces of chains, products of them. It equals
        ``predict`` on architectures, up to float32; with ``deviations``, to the prediction plus so
        many times its ``predict_std``, for a search that is not to trust what the predictor does
        not know. Raises UsageError naming the predictors that can when this one cannot.
        """
        from latbench.predictors.gradients.expected_layers import OneHotToLayers
        from latbench.predictors.gradients.modules import OneHotTo

        encoding = encoding_of(self.predictor.encoding)
        matrix = encoding.one_hot_matrix(self.space)
        if matrix is None and self.predictor.sums_layers and self.predictor.guides(self.space):
            if deviations:
                return self.predictor.as_upper_module(deviations)  # which refuses it
            return OneHotToLayers(self.space, self.predictor.as_module())
        if matrix is None:
            raise no_gradient(
                f"{self.card.predictor!r} reads {encoding.name!r}, which in the space "
                f"{self.space.name!r} is known of whole networks only"
            )
        inner = (
            self.predictor.as_upper_module(deviations) if deviations else self.predictor.as_module()
        )
        return inner if encoding.name == "one_hot" else OneHotTo(matrix, inner)

    def save(self, directory: str | Path) -> None:
        """Writes the model as a directory of plain files, whole or not at all.

        An older model there is replaced. Raises UsageError when the directory holds anything else,
        or when the predictor's class could not be found again.
        """
        require_restorable(self.card.predictor)
        with replacing_folder(Path(directory), CARD_FILE, "saved latency model") as fresh:
            self.predictor.save_state(fresh)
            if self.novelty is not None:
                self.novelty.save(fresh)
            digests = {path.name: digest_of(path.read_bytes()) for path in fresh.iterdir()}
            card = self.card.model_copy(update={"files": digests, "format_version": FORMAT_VERSION})
            (fresh / CARD_FILE).write_text(card.to_json(), "utf-8")

    @classmethod
    def load(
        cls, directory: str | Path, *, space: AnySpace | None = None, device: str | None = None
    ) -> LatencyModel:
        """Reads what ``save`` wrote; runs no code of it, and imports no module that it names unless
        ``LATBENCH_TRUST`` lists it (see latbench.plugins).

        Raises SpaceMismatchError when it was fitted for another space than ``space``, ParseError
        when a file is missing, damaged or not what the card says. Warns (UserWarning) when it was
        fitted on another device than ``device``.
        """
        directory = Path(directory)
        card = read_card(directory)
        own = _card_space(card, directory)
        if space is not None:
            _require_space(own, space)
        predictor = restore_predictor(card, directory)
        width = width_of(own, predictor.encoding)
        if width is not None and predictor.n_features_in_ != width:
            raise ParseError(
                f"{directory} reads {predictor.n_features_in_} features, {own} has {width}; "
                "its files do not belong together"
            )
        if device is not None and device != card.device:
            warnings.warn(
                f"the latency model was fitted on {card.device!r}, this device is {device!r}; "
                "its predictions may be off until it is fitted here",
                UserWarning,
                stacklevel=2,
            )
        return cls(own, predictor, card, _novelty(own, card, directory))


def _is_one(value: Any) -> bool:
    """Returns whether a value is a single architecture, or its text."""
    return isinstance(value, str | Architecture)


def _require_space(own: AnySpace, other: AnySpace) -> None:
    if own != other:
        raise SpaceMismatchError(
            f"the latency model was fitted for {own}, not for {other}; fit one for that space"
        )


def _card_space(card: Card, directory: Path) -> AnySpace:
    try:
        return space_from_identity(card.space, f"the card of {directory}")
    except ParseError:
        raise
    except (LatbenchError, TypeError, ValueError, AttributeError) as error:
        raise ParseError(f"the card of {directory} names no known space: {error}") from error


def _novelty(space: AnySpace, card: Card, directory: Path) -> Novelty | None:
    if NOVELTY_FILE not in card.files:
        return None
    return Novelty.load(directory, len(space.counts(space.reference())))
