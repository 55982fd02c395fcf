"""Workers wait for events that stand in a table; a supervisor joins the workers."""
import threading
import time

events = {}


def work(ready):
    ready.wait()


def supervise(threads):
    for thread in threads:
        thread.join()


def begin():
    threads = []
    for number in range(100):
        events[number] = threading.Event()
        threads.append(threading.Thread(target=work, args=(events[number],)))
    supervisor = threading.Thread(target=supervise, args=(threads,))
    for thread in (*threads, supervisor):
        thread.start()
    return supervisor


def finish(supervisor):
    time.sleep(4)
    for event in events.values():
        event.set()
    supervisor.join()


finish(begin())
