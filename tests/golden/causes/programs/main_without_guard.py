"""A program that starts processes, and has no line ``if __name__ == "__main__":``."""

import multiprocessing


def square(number):
    return number * number


multiprocessing.set_start_method("spawn", force=True)
pool = multiprocessing.Pool(1)
print(pool.map(square, range(3)))
