"""Two reports beside each other. Pure: what changed, and whether chance explains it."""
