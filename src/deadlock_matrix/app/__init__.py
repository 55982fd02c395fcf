"""What the entry points share: the use cases, below the command line and the pytest plugin."""
