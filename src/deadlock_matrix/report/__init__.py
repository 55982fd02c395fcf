"""One schema: write, read, migrate. Knows the model, and nothing of how facts were found."""
