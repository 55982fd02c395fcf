"""A module with a long start, as with a cold disk cache."""
import sys
import time

sys.modules["slow_import"].begun.set()
time.sleep(6)
