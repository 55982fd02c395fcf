import threading

first = threading.Lock()
second = threading.Lock()
gate = threading.Barrier(2)


def meet():
    """Wait for the other one, if it comes at all."""
    try:
        gate.wait(0.3)
    except threading.BrokenBarrierError:
        pass
