"""The measurements of one search space: a SQLite file with one writer. See ``docs/store.md``."""

from latbench.store.file import Store
from latbench.store.records import Costs, Done, Measurement, MeasurementSet, SetSummary

__all__ = ["Costs", "Done", "Measurement", "MeasurementSet", "SetSummary", "Store"]
