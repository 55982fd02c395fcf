"""A synchronous facade over a background loop, used from within that loop."""
import asyncio
import sys
import threading
import time

loop = asyncio.new_event_loop()
threading.Thread(target=loop.run_forever).start()


def call(coroutine):
    return asyncio.run_coroutine_threadsafe(coroutine, loop).result()


async def inner():
    return 42


async def outer():
    sys.stderr.write(f"onset {time.monotonic()}\n")
    sys.stderr.flush()
    return call(inner())


call(outer())
