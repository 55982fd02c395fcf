"""A module that computes a table in processes: to pickle a task, its name is looked up here."""

from multiprocessing import get_context


def square(number):
    return number * number


with get_context("fork").Pool(1) as pool:
    SQUARES = pool.map(square, range(3))
