"""Drawings of cells and of chains of blocks: where their parts stand, and how they are drawn."""
