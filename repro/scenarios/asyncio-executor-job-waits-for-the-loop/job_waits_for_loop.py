"""A job of an executor calls back into the loop, which waits for the lock of the one that awaits the job."""
import asyncio
import sys
import time


def onset():
    sys.stderr.write(f"onset {time.monotonic()}\n")
    sys.stderr.flush()


class Store:
    def __init__(self):
        self._lock = asyncio.Lock()

    async def count(self):
        async with self._lock:
            return 1

    def write(self, loop):
        counted = asyncio.run_coroutine_threadsafe(self.count(), loop)
        onset()
        return counted.result()

    async def save(self):
        loop = asyncio.get_running_loop()
        async with self._lock:
            await loop.run_in_executor(None, self.write, loop)


async def main():
    await Store().save()


asyncio.run(main())
