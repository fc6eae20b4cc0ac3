"""Charts of measurements, predictors, searches and changes: functions from results to charts.

Each gives an Altair chart, which a notebook shows, or None where there is nothing to draw. The
page, and the pictures of ``--plot``, show the same charts in the report's colours.
"""

from latbench.report.charts.change_charts import (
    change_against_latency,
    change_histogram,
    distributions,
)
from latbench.report.charts.odds_charts import numbers_chart, odds_chart
from latbench.report.charts.prediction_charts import (
    backend_against_backend,
    error_distribution,
    learning_curves,
    measured_histogram,
    predicted_against_measured,
)
from latbench.report.charts.search_charts import course, front, predicted_and_measured, readings

__all__ = [
    "backend_against_backend",
    "change_against_latency",
    "change_histogram",
    "course",
    "distributions",
    "error_distribution",
    "front",
    "learning_curves",
    "measured_histogram",
    "numbers_chart",
    "odds_chart",
    "predicted_against_measured",
    "predicted_and_measured",
    "readings",
]
