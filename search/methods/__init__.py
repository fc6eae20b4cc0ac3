"""The search methods by name, in a table of strings: naming them imports no framework.

One of your own is named ``"module:Class"``, or registered in its distribution's metadata, in the
entry-point group ``latbench.methods`` (see latbench.plugins); a name of the table below cannot be
taken over.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

from latbench.errors import LatbenchError, UsageError, did_you_mean, quoted
from latbench.plugins import Registry
from latbench.search.method_text import split_method
from latbench.search.methods.base import Method

if TYPE_CHECKING:
    from latbench.search.config import SearchConfig

__all__ = [
    "ENTRY_POINT_GROUP",
    "METHODS",
    "Method",
    "make_method",
    "method_class",
    "method_names",
    "parse_method",
    "settings_identity",
]

ENTRY_POINT_GROUP = "latbench.methods"
_REGISTRY = Registry(
    "method",
    ENTRY_POINT_GROUP,
    "latbench.search.methods.base:Method",
    {
        "darts": "latbench.search.methods.darts:Darts",
        "darts-2nd": "latbench.search.methods.darts:SecondOrderDarts",
        "pc-darts": "latbench.search.methods.partial_channels:PcDarts",
        "gdas": "latbench.search.methods.sampled_operations:Gdas",
        "msg-das": "latbench.search.methods.exclusive_subgraphs:MsgDas",
        "fbnet": "latbench.search.methods.gumbel_mixture:FBNet",
        "dmasking": "latbench.search.methods.masked_widths:DMasking",
        "proxylessnas": "latbench.search.methods.two_paths:ProxylessNas",
        "hurricane": "latbench.search.methods.staged_paths:Hurricane",
        "single-path": "latbench.search.methods.one_shot_evolution:SinglePath",
        "training-free": "latbench.search.methods.training_free:TrainingFree",
    },
)
METHODS: tuple[str, ...] = tuple(_REGISTRY.built_in)


def method_names() -> tuple[str, ...]:
    """Returns every name that there is: ``METHODS`` and those of installed distributions."""
    return _REGISTRY.names()


def method_class(name: str, source: str | None = None) -> type[Method]:
    """Returns the class of a method by its name, or by ``"module:Class"``, which imports
    ``module``.

    ``source`` is the file that the name was read from, None when a user named it: a file may not
    import a module, see latbench.plugins. Raises UsageError, or ParseError for such a file.
    """
    return _REGISTRY.find(name, source)


def make_method(
    name: str, settings: Mapping[str, Any] | None = None, source: str | None = None
) -> Method:
    """Makes the method ``name`` with the given settings; the rest are its defaults.

    ``source`` is as in ``method_class``. Raises UsageError for an unknown method or setting, or a
    value that makes no sense; ParseError for a file that names a module that is not imported.
    """
    cls, values = method_class(name, source), dict(settings or {})
    known = [field.name for field in fields(cls) if field.init]
    for key in values:
        if key not in known:
            near, has = did_you_mean(key, known), ", ".join(known) or "none"
            raise UsageError(
                f"method {quoted(name)} has no setting {quoted(key)}{near} it has {has}"
            )
    try:
        return cls(**values)
    except LatbenchError:
        raise
    except Exception as error:  # others' code, which may raise anything
        raise UsageError(
            f"method {quoted(name)} cannot be made: {type(error).__name__}: {error}; its class "
            "must be a frozen dataclass with a default for every setting, and have a relaxation"
        ) from error


def parse_method(text: str, source: str | None = None) -> Method:
    """Makes the method that ``str(method)`` names: ``gdas`` or ``gdas(temperature=5)``.

    ``source`` is as in ``method_class``. Raises UsageError saying what is wrong.
    """
    return make_method(*split_method(text), source)


def settings_identity(config: SearchConfig, source: str | None = None) -> dict[str, Any]:
    """Returns the settings of a search as plain values, those of its method written out.

    Whoever compares them sees a method's default that is another one today. What does nothing is
    left out: what belongs to a setting that is off.
    """
    off = tuple(lead for lead, absent in config.LEADS.items() if getattr(config, lead) == absent)
    values = {k: v for k, v in asdict(config).items() if not k.startswith(off)}
    return values | {"method": str(parse_method(str(config.method), source))}
