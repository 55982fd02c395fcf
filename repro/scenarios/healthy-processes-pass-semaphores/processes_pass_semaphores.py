"""Ping and pong between processes."""
import multiprocessing
import time

context = multiprocessing.get_context("fork")


def play(mine, other):
    for _ in range(3):
        mine.acquire()
        time.sleep(1)
        other.release()


ping, pong = context.Semaphore(1), context.Semaphore(0)
child = context.Process(target=play, args=(pong, ping))
child.start()
play(ping, pong)
child.join()
