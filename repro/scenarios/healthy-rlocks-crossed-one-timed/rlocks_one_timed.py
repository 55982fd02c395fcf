"""Two re-entrant locks taken in opposite order, of which one side gives up."""
import threading

first, second = threading.RLock(), threading.RLock()
each_holds_one = threading.Barrier(2)


def patient():
    with first:
        each_holds_one.wait()
        with second:
            pass


waiting = threading.Thread(target=patient)
waiting.start()
with second:
    each_holds_one.wait()
    assert not first.acquire(timeout=6)
waiting.join()
