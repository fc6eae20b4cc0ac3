"""The families of predictors, one a file."""
