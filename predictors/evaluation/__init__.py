"""The evaluation of predictors: cross-validation, metrics, learning curves, a recommendation."""
