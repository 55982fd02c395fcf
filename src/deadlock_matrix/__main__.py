"""``python -m deadlock_matrix``: the same as the command ``deadlock-matrix``."""

from deadlock_matrix.cli import main

main()
