"""The rules of the layer kinds of networks from outside for LiteRT; ``latbench.export.tflite`` has
those of the spaces."""
