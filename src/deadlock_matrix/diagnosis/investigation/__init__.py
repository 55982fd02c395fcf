"""Investigate a hang: what to run next, how often, and what the runs say of each remedy."""
