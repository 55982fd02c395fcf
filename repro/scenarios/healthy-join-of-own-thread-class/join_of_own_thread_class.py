"""Two threads join each other, by a class whose join also ends when somebody gives the thread up."""
import threading as standard
import time

from own import threading

both = []


def join_other(number):
    time.sleep(0.2)
    both[1 - number].join()


both += [threading.Thread(target=join_other, args=(number,)) for number in (0, 1)]
for thread in both:
    thread.start()
time.sleep(6)
for thread in both:
    thread.give_up()
for thread in both:
    standard.Thread.join(thread)
