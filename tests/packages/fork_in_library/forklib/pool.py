import os
import threading

registry = threading.Lock()
held = threading.Event()
done = threading.Event()


def refresh():
    with registry:
        held.set()
        done.wait()


def work():
    with registry:
        pass


def start():
    threading.Thread(target=refresh, daemon=True).start()
    held.wait()
    child = os.fork()
    if child == 0:
        work()
        os._exit(0)
    done.set()
    os.waitpid(child, 0)
