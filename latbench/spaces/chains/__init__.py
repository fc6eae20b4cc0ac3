"""The spaces of chains: stages of blocks, each with its kernels, widths and depths."""
