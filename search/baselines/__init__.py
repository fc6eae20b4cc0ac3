"""Searches without gradients, and the scores that they compare architectures by."""
