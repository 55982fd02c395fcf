"""Computes a table that it does not need at once."""

from slowpure import light, primes

VERSION = light.VERSION


def is_prime(number):
    return number in primes.TABLE
