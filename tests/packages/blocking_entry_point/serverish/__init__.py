"""Has the loop of its program at the top level of a module."""

from serverish import app
