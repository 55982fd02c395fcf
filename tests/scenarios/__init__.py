"""Reads and builds ``repro/scenarios``, for tests, benchmarks and the gallery."""
