"""Reads its tables, while it is imported, from a file whose other end is slow."""

from slowdisk.tables import read_table

TABLE = read_table()
