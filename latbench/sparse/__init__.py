"""Networks of few weights, run fast on a CPU: what `simd-sparse` runs, and what pruning makes.

``program`` says what the engine does for a network, step by step; ``engine/`` is the engine, in
C++; ``libraries`` compiles it for this CPU; ``running`` calls it.
"""
