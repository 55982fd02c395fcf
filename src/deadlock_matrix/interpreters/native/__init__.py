"""Native libraries told from files: who needs what, where it is found, and what it is."""
