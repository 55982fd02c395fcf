"""Imported when the package is."""
