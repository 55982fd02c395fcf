"""What a study provides: the tool's interface to a question about one field."""
