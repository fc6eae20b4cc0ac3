"""The experiment of ``make demo``: everything on the CPU, with data that needs no download."""

DEMO = """\
# Every key is optional but title, space and backends; see docs/experiment.md.
title = "DARTS cells on two CPU runtimes"

[space]                      # the network that is measured, derived and trained
name = "darts"
channels = 16
cells = 8
in_channels = 1
resolution = 16
classes = 10

[[backends]]
name = "onnxruntime"
threads = 1

[[backends]]
name = "torch-eager"
threads = 1

[measure]
n = 160                      # architectures a backend
retest = 0.15                # share timed twice, for the noise floor

[predict]
compare = ["mlp", "lightgbm", "ridge-counts", "ridge-cost"]
penalty = "mlp"              # the one that the search differentiates

[search]
backend = "onnxruntime"
penalty_weights = [0.0, 0.5] # 0 is plain DARTS
data = "digits"              # 1,797 real images that scikit-learn ships

[search.settings]            # the supernet, a smaller proxy of the network above
epochs = 12
channels = 8
cells = 5

[train]
epochs = 10
"""
