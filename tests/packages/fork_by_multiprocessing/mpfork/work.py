import threading

registry = threading.Lock()


def run():
    with registry:
        pass
