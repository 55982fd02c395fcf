"""A synchronous facade over a loop in a thread, whose task takes its lock twice."""
import asyncio
import sys
import threading
import time


def onset():
    sys.stderr.write(f"onset {time.monotonic()}\n")
    sys.stderr.flush()


async def twice():
    lock = asyncio.Lock()
    async with lock:
        onset()
        async with lock:
            pass


loop = asyncio.new_event_loop()
threading.Thread(target=loop.run_forever).start()
asyncio.run_coroutine_threadsafe(twice(), loop).result()
