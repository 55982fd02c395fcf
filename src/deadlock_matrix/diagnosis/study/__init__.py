"""What a study brings along: the interface that the tool has to a question about one field."""
