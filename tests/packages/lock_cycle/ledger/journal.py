import threading

entries = threading.Lock()


def write():
    with entries:
        pass


def post(both, accounts):
    with entries:
        both.wait()
        with accounts:
            pass
