"""Measure, model and search neural-architecture latency on any runtime."""

from latbench._version import __version__

__all__ = ["__version__"]
