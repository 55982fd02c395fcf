"""A number of seconds on the command line."""

from __future__ import annotations

import math
from typing import Any

import click


class Seconds(click.FloatRange):
    """More than nothing, and finite: ``nan`` would be a limit that is never reached."""

    name = "seconds"

    def __init__(self) -> None:
        super().__init__(min=0, min_open=True)

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Convert as `click.FloatRange`, and refuse what is no length of time."""
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(
                f"{value} is not a number of seconds: give a number above 0, such as 2.5.",
                param,
                ctx,
            )
        return number
