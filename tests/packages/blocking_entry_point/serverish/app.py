import queue

jobs = queue.Queue()


def run():
    while True:
        job = jobs.get()
        job()


run()
