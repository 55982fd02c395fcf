"""What results mean: findings, known causes, remedies. Pure functions, so that it can be redone."""
