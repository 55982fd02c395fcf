"""The command ``deadlock-matrix``: thin entry points that parse, call and print."""

from __future__ import annotations

import importlib
import sys

import click

from deadlock_matrix import __version__
from deadlock_matrix.errors import DeadlockMatrixError, ExitStatus

COMMANDS = {
    "cells": "List the cells that a selection contains.",
    "ci-matrix": "Print a matrix of jobs for continuous integration.",
    "diagnose": "Find out why a package hangs, and what helps.",
    "inspect": "Show why a running process hangs.",
    "interpreters": "List every Python on this machine.",
    "report": "Show, merge, compare and check reports.",
    "run": "Run the matrix.",
    "scan": "Look for deadlocks in every Python process.",
    "worker": "Run cells for another machine.",
    "watch": "Run a command and end it when a deadlock is proved.",
}
"""Each is in a module of its own, imported only when used: the command must start fast."""


class _OnDemand(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"deadlock_matrix.cli.{cmd_name.replace('-', '_')}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(sorted(COMMANDS.items()))


@click.group(cls=_OnDemand, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="deadlock-matrix")
def group() -> None:
    """Find out which configurations hang a Python import, and prove why."""


def main() -> None:
    """Run the command; each of our errors prints one sentence and has its own exit status."""
    from deadlock_matrix.cli.shell import (
        Terminated,
        discard_output,
        end_by,
        end_tidily,
        open_missing_streams,
    )

    open_missing_streams()
    end_tidily()
    try:
        group.main(prog_name="deadlock-matrix", standalone_mode=False)
    except click.exceptions.Abort as abort:
        if isinstance(abort.__cause__, Terminated):
            end_by(abort.__cause__.number)
        sys.exit(ExitStatus.INTERRUPTED)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except DeadlockMatrixError as error:
        click.echo(f"deadlock-matrix: {error}", err=True)
        sys.exit(error.exit_status)
    except OSError as error:
        # An error in a file that is read or written says so itself; this is our output or current
        # folder.
        named = f": {error.filename}" if error.filename else ""
        click.echo(f"deadlock-matrix: {error.strerror or error}{named}", err=True)
        discard_output()
        sys.exit(ExitStatus.TOOL_FAILED)
