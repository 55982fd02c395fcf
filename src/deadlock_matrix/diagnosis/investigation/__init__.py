"""Investigate a hang: what to run next, how often, and what the runs say about each remedy."""
