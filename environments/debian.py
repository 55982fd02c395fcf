"""What is installed on Debian and its relatives."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence


def missing(packages: Sequence[str]) -> list[str]:
    """Those of ``packages`` that are not installed."""
    return [package for package in packages if not _is_installed(package)]


def _is_installed(package: str) -> bool:
    query = ["dpkg-query", "--show", "--showformat=${db:Status-Status}", package]
    done = subprocess.run(query, capture_output=True, text=True, check=False)
    return done.stdout == "installed"
