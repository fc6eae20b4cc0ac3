"""A predictor of a new device from a few measurements of it, given those of others."""
