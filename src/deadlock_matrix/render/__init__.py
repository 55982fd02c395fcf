"""Pure functions from a report to something to look at."""
