"""Charts of measurements, predictors, searches, pruned models and changes, from their results.

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
from latbench.report.charts.pruning_charts import pruned_front
from latbench.report.charts.search_charts import course, front, predicted_and_measured, readings
from latbench.report.charts.width_charts import densities_chart, left_chart, widths_chart

__all__ = [
    "backend_against_backend",
    "change_against_latency",
    "change_histogram",
    "course",
    "densities_chart",
    "distributions",
    "error_distribution",
    "front",
    "learning_curves",
    "left_chart",
    "measured_histogram",
    "numbers_chart",
    "odds_chart",
    "predicted_against_measured",
    "predicted_and_measured",
    "pruned_front",
    "readings",
    "widths_chart",
]
