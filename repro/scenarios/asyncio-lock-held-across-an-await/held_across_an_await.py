"""A lock of threads in two tasks of one loop."""
import asyncio
import sys
import threading
import time

lock = threading.Lock()


async def update(asks):
    if asks:
        sys.stderr.write(f"onset {time.monotonic()}\n")
        sys.stderr.flush()
    with lock:
        await asyncio.sleep(0.01)


async def main():
    first = asyncio.ensure_future(update(False))
    second = asyncio.ensure_future(update(True))
    first.set_name("first")
    second.set_name("second")
    await asyncio.gather(first, second)


asyncio.run(main())
