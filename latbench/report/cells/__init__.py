"""Drawings of cells: where their nodes stand, and how they are drawn."""
