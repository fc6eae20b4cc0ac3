"""The operators that suit a runtime: each one timed at every layer of a space, and the pool of each
layer chosen by it (HURRICANE, Zhang et al., 2019, https://arxiv.org/abs/1910.11609)."""

RETEST = 0.2  # of the operators is timed twice, for the noise floor that pools are compared by
