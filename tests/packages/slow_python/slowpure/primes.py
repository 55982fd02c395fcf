import time


def sieve(seconds):
    # As long as it takes on any machine: the test is about who is blamed.
    found, number, end = [], 2, time.process_time() + seconds
    while time.process_time() < end:
        if all(number % each for each in found if each * each <= number):
            found.append(number)
        number += 1
    return frozenset(found)


TABLE = sieve(2.5)
