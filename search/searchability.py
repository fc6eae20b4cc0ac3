"""The check of a space against the settings of a search, before anything is made or written."""

from __future__ import annotations

from latbench.errors import UsageError
from latbench.search.config import SearchConfig
from latbench.search.methods import Method, parse_method
from latbench.search.methods.forest_seam import check_supernet
from latbench.spaces import AnySpace


def check_searchable(space: AnySpace, config: SearchConfig, source: str | None = None) -> Method:
    """Returns the method of a search of ``space``.

    ``source`` is the file that the settings were read from, None when a user gave them: a file may
    not import a module, see latbench.plugins. Raises UsageError when the space has no supernet, or
    the method cannot search it or not with these settings; ParseError for such a file.
    """
    method = parse_method(str(config.method), source)
    check_supernet(space, config)
    if method.order and config.target is not None and config.alpha_learning_rate == 0:
        raise UsageError(
            f"a target needs an alpha_learning_rate above 0, got the target {config.target} and 0"
        )
    method.check(space, config)
    return method
