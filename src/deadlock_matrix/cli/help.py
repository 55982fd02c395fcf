"""What ``--help`` says of the whole command: click takes longer to import than Python to start.

So this is a constant, and what prints it imports nothing either.
"""

from __future__ import annotations

COMMANDS = {
    "cells": "List the cells that a selection contains.",
    "ci-matrix": "Print a matrix of jobs for continuous integration.",
    "diagnose": "Find out why a package hangs, and what helps.",
    "inspect": "Show why a running process hangs.",
    "interpreters": "List every Python on this machine.",
    "report": "Show, merge, compare and check reports.",
    "run": "Run the matrix.",
    "scan": "Look for deadlocks in every Python process.",
    "watch": "Run a command and end it when a deadlock is proved.",
    "worker": "Run cells for another machine.",
}
"""Each is in a module of its own, imported only when used: the command must start fast."""

HELP_OPTIONS = ["-h", "--help"]

HELP = "\n".join(
    [
        "Usage: deadlock-matrix [OPTIONS] COMMAND [ARGS]...",
        "",
        "  Find out which configurations hang a Python import, and prove why.",
        "",
        "Options:",
        "  --version   Show the version and exit.",
        "  -h, --help  Show this message and exit.",
        "",
        "Commands:",
        *(f"  {name:<12}  {summary}" for name, summary in COMMANDS.items()),
    ]
)
