"""Asks a server for its settings while it is imported, and sets no time limit."""

from phonehome.settings import load

SETTINGS = load()
