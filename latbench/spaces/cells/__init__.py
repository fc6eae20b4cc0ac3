"""The spaces of papers, each in a file of its own with its notation."""
