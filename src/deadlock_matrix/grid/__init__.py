"""Where cells are run: on this machine, several at once, or on many machines."""
