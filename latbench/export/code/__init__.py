"""A network as a file of readable torch code: what repeats becomes a function or a class."""
