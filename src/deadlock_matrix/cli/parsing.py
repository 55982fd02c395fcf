"""The command line itself: which command is meant, and what a wrong one is told."""

from __future__ import annotations

import importlib
import sys

import click

from deadlock_matrix import __version__
from deadlock_matrix.cli.help import COMMANDS, HELP, HELP_OPTIONS
from deadlock_matrix.cli.shell import Terminated, end_by, end_tidily
from deadlock_matrix.errors import ExitStatus


class _OnDemand(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"deadlock_matrix.cli.{cmd_name.replace('-', '_')}")
        command: click.Command = module.command
        return command

    def get_help(self, ctx: click.Context) -> str:
        return HELP


@click.group(cls=_OnDemand, context_settings={"help_option_names": HELP_OPTIONS})
@click.version_option(__version__, prog_name="deadlock-matrix")
def group() -> None:
    """Find out which configurations hang a Python import, and prove why."""


def run() -> None:
    """Parse the command line and run what it asks for; it ends the process if it cannot."""
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
