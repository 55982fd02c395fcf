"""Two tasks of a service cross two locks that a context manager takes; its heartbeat goes on."""
import asyncio
import contextlib
import sys
import time


def onset():
    sys.stderr.write(f"onset {time.monotonic()}\n")
    sys.stderr.flush()


class Account:
    def __init__(self):
        self._lock = asyncio.Lock()

    @contextlib.asynccontextmanager
    async def opened(self):
        async with self._lock:
            yield self

    async def transfer(self, other, both):
        async with self.opened():
            both.append(None)
            while len(both) < 2:
                await asyncio.sleep(0)
            onset()
            async with other.opened():
                pass


async def heartbeat():
    while True:
        await asyncio.sleep(0.05)


async def main():
    ours, theirs, both = Account(), Account(), []
    await asyncio.gather(heartbeat(), ours.transfer(theirs, both), theirs.transfer(ours, both))


asyncio.run(main())
