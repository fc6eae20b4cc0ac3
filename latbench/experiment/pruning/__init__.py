"""The pruning of a saved model to a latency budget on a backend: channels, or groups of weights."""
