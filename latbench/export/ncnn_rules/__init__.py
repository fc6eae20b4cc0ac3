"""The rules of the layer kinds of networks from outside for ncnn; ``latbench.export.ncnn_model``
has those of the spaces."""
