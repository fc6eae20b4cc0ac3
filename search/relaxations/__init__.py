"""The relaxations: how architecture parameters become mixtures of operations, one method a file."""
