"""A cycle of joins, broken by the one that is in a hurry."""
import threading

both_run = threading.Barrier(2)


def join(name, timeout):
    both_run.wait()
    threads[name].join(timeout)


threads = {
    "patient": threading.Thread(target=join, args=("hasty", None), name="patient"),
    "hasty": threading.Thread(target=join, args=("patient", 6), name="hasty"),
}
for thread in threads.values():
    thread.start()
threads["patient"].join()
