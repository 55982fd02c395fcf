"""Named recipes for interpreters that really differ, and what builds them under ``.nox``."""
