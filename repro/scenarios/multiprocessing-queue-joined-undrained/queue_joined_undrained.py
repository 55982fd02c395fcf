"""The parent joins the child before it reads what the child has put."""
import multiprocessing
import sys
import time

context = multiprocessing.get_context("fork")


def onset():
    sys.stderr.write(f"onset {time.monotonic()}\n")
    sys.stderr.flush()


def produce(results):
    results.put(bytes(1 << 20))
    onset()


results = context.Queue()
child = context.Process(target=produce, args=(results,))
child.start()
onset()
child.join()
results.get()
