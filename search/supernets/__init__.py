"""Supernets of the spaces, and the choices that they are searched over."""
