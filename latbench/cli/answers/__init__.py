"""The commands' answers about single networks: what was measured, swept, or counted of them."""
