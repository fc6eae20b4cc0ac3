"""The rules of ``latbench.networks.general``, the layer kinds of networks from outside."""
