"""The pruning of a trained network to a budget of latency, or of another cost."""
