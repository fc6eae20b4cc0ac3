"""The spaces that are not offered by name: of the layers of another space, or of one model."""
