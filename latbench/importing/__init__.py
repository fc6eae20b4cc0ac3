"""ONNX files and torch modules as networks of layers.

A file is data: it is parsed, its sizes are checked before memory is taken, no path outside its
folder is read and nothing in it runs. ``latbench.Model.from_onnx`` and ``from_torch`` are how it is
called.
"""
