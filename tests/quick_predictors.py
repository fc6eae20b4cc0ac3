"""Parameters that fit each predictor in no time: ``from quick_predictors import QUICK``.

For tests in which its accuracy does not matter.
"""

from typing import Any

QUICK: dict[str, dict[str, Any]] = {
    "gnn": {"steps": 10, "epochs": 1},
    "mlp": {"steps": 20},
    "mlp-one-hot": {"steps": 20},
    "mixture-one-hot": {"steps": 20},
    "mlp-ensemble": {"steps": 20},
    "lightgbm": {"n_estimators": 30},
    "xgboost": {"n_estimators": 30},
}
