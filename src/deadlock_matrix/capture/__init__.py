"""Facts about running processes, read from outside: one module per source, and no judgement."""
