"""Training of networks from scratch, and the parts that a search's training shares."""
