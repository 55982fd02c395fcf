"""Run imports under every configuration, and prove why the ones that hang do."""

__version__ = "0.1.0"
