"""A module that loads its tables in threads, which import the module."""

from concurrent.futures import ThreadPoolExecutor


def load(name):
    import import_waits_for_executor

    return import_waits_for_executor, name


with ThreadPoolExecutor(1) as pool:
    TABLES = list(pool.map(load, ["one"]))
