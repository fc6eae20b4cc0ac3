"""The reading of an experiment file, which is checked before anything is done.

Unknown keys and values of the wrong type are refused by name. See ``docs/experiment.md`` for every
key with its default; ``latbench example`` prints a file to start from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from latbench.errors import UsageError
from latbench.experiment.settings import ExperimentConfig, check_prune, check_search
from latbench.files import parse_toml
from latbench.search.config import SearchConfig
from latbench.search.method_text import method_text, split_method
from latbench.search.methods import METHODS, parse_method
from latbench.search.presets import laid_over, train_settings
from latbench.validation import checked, told


def parse_experiment(text: str, path: Path) -> ExperimentConfig:
    """Parses the experiment that a TOML text describes; ``path`` is named in messages.

    Raises UsageError with all unknown keys and wrong types, or, where there are none, with all
    names that are wrong; BackendUnavailable for an unknown backend. To check the names it imports
    the modules of ``module:Class`` in it: for a file that somebody asks to run.
    """
    config = _typed(text, path)
    if mistakes := list(_wrong_names(config)):
        raise told(str(path), mistakes)
    return config


def _typed(text: str, path: Path, to_show: bool = False) -> ExperimentConfig:
    """The experiment of a text, its types checked and none of its names."""
    document = parse_toml(text, path)
    return checked(ExperimentConfig, _with_presets(document, to_show), str(path))


def _with_presets(document: dict[str, Any], to_show: bool) -> dict[str, Any]:
    """``[search.settings]`` laid over the published ones that ``[search] preset`` names, and
    ``[train]`` over those published with them, on the search's device and in its precision.

    Whatever is of a wrong type is left to be refused with the rest.
    """
    space, search, trained = (document.get(key, {}) for key in ("space", "search", "train"))
    if not (isinstance(space, dict) and isinstance(search, dict) and isinstance(trained, dict)):
        return document
    preset, given = search.get("preset", ""), search.get("settings", {})
    if not isinstance(given, dict) or not isinstance(preset, str):
        return document
    name = str(space.get("name"))
    settings = _searched(preset, given, name, to_show)
    laid = {"train": train_settings(preset, name, settings, trained)}
    if preset:
        laid["search"] = search | {"settings": settings}
    return document | {key: table for key, table in laid.items() if table}


def _searched(preset: str, given: dict[str, Any], space: str, to_show: bool) -> dict[str, Any]:
    """The settings of the search. In a file that is only shown, a method that is not built in has
    no published ones: its class has them, and is not looked up."""
    if not preset:
        return given
    method, _ = split_method(method_text(given.get("method", SearchConfig.method)))
    if to_show and method not in METHODS:
        return given
    return laid_over(preset, given, space)


def _wrong_names(config: ExperimentConfig) -> Iterator[str]:
    """Everything that names something else must name something that is there."""
    from latbench.predictors import require_predictor

    checks: list[Callable[[], object]] = [config.make_space, config.make_backends]
    names = dict.fromkeys((*config.predict.compare, config.predict.penalty))
    checks += [partial(require_predictor, name) for name in names]
    if config.search:
        checks.append(partial(parse_method, str(config.search.settings.method)))
        checks.append(partial(check_search, config.search, config))
    if config.prune:
        checks.append(partial(check_prune, config.prune, config))
    for check in checks:
        try:
            check()
        except UsageError as error:
            yield str(error)


def load_experiment(path: Path) -> ExperimentConfig:
    """Reads the experiment in a TOML file. Raises UsageError when it cannot be read or is wrong;
    see ``parse_experiment``."""
    return parse_experiment(_text(path), path)


def read_experiment(path: Path) -> ExperimentConfig:
    """Reads the experiment in a TOML file, only to show it.

    No space, backend, predictor or method that it names is looked up, so none has to be here, and
    no code of it runs.

    Raises UsageError when the file cannot be read, or when a type or the search stage is wrong.
    """
    config = _typed(_text(path), path, to_show=True)
    if config.search:
        check_search(config.search, config)
    return config


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot read the experiment {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not a text file in UTF-8: {error.reason}") from error
