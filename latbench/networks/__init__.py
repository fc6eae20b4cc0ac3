"""Networks: their layers, weights and costs, and the blocks that spaces build them of."""
