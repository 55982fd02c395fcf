"""Recognise known causes: look for the signs that each leaves in what was recorded."""
