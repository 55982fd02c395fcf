"""What results mean: findings, known causes, remedies. Pure functions: it can all be redone."""
