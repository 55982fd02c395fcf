"""Helpers are born and die for six seconds."""
import threading
import time


def employ_helpers():
    end = time.monotonic() + 6
    while time.monotonic() < end:
        helpers = [threading.Thread(target=time.sleep, args=[0.005]) for _ in range(4)]
        for helper in helpers:
            helper.start()
        for helper in helpers:
            helper.join()


employer = threading.Thread(target=employ_helpers)
employer.start()
employer.join()
