"""A timer thread wakes everybody who waits on the condition."""
import threading

condition = threading.Condition()
due = False


def wait():
    with condition:
        condition.wait_for(lambda: due)


def notify():
    global due
    with condition:
        due = True
        condition.notify_all()


threading.Timer(6, notify).start()
threading.Thread(target=wait).start()
wait()
