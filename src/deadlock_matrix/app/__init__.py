"""What the doors share: the use cases, below the command line and the pytest plugin."""
