"""The layer kinds that networks from outside are made of: ONNX files, torch modules.

A space is made of ``latbench.networks.ops``; what these here add is what it has no need of:
rectangular windows, arithmetic with broadcasting, shapes of any rank, products of two tensors,
integers and truth values. An imported network has a kind of ``ops`` wherever that says the same,
so that every encoding, exporter and kernel knows it.
"""
