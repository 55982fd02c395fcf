"""The last party comes to the barrier when its own wait has timed out."""
import threading

barrier = threading.Barrier(4)


def come_late():
    threading.Event().wait(timeout=6)
    barrier.wait()


for target in (barrier.wait, barrier.wait, come_late):
    threading.Thread(target=target).start()
barrier.wait()
