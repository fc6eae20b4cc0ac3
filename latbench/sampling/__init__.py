"""The choice of architectures to measure: by what is known of a space, or by a predictor."""
