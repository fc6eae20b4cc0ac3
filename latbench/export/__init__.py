"""Network exporters: ``to_onnx`` (latbench.export.onnx) and ``to_torch`` (latbench.export.torch).

They are imported from their own modules, so that either framework loads only when it is used.
"""
