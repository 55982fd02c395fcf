"""Facts about running processes, read from outside. One module per source; nothing is judged."""
