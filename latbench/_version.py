"""The one place that states the version; pyproject.toml and CHANGELOG.md are checked against it."""

__version__ = "0.1.0"
