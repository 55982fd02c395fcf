"""A package that imports light: its models are loaded when they are asked for."""

from tinypackage.options import Options

__all__ = ["Options"]
