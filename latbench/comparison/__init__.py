"""The comparison of two sets of measurements, or of backends."""
