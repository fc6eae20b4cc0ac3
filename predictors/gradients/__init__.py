"""Fitted predictors as torch modules that a search can differentiate."""
