"""A shallow copy of a condition has the same lock and the same list of those who wait."""
import copy
import threading
import time

copies = []
waiting = threading.Event()


class Channel(threading.Condition):
    pass


def read():
    channel = Channel()
    copies.append(copy.copy(channel))
    with channel:
        waiting.set()
        channel.wait()


def join(thread):
    thread.join()


def begin():
    reader = threading.Thread(target=read)
    reader.start()
    joiner = threading.Thread(target=join, args=(reader,))
    joiner.start()
    return joiner


def finish(joiner):
    waiting.wait()
    time.sleep(4)
    with copies[0]:
        copies[0].notify_all()
    joiner.join()


finish(begin())
