"""Two reports side by side. Pure: what changed, and whether chance explains it."""
