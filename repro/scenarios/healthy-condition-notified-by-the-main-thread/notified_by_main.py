"""Who notifies needs only the inner lock."""
import threading
import time

door, filled, inside = threading.RLock(), threading.Condition(), threading.Event()


def take():
    with door:
        with filled:
            inside.set()
            filled.wait()


def fill():
    inside.wait()
    with door:
        with filled:
            filled.notify()


def main():
    threads = [threading.Thread(target=work) for work in (take, fill)]
    for thread in threads:
        thread.start()
    time.sleep(4)
    with filled:
        filled.notify()
    for thread in threads:
        thread.join()


main()
