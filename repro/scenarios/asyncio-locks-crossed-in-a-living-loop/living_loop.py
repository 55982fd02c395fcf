"""Two tasks of a service cross two locks; its heartbeat goes on."""
import asyncio
import sys
import time


def onset():
    sys.stderr.write(f"onset {time.monotonic()}\n")
    sys.stderr.flush()


class Account:
    def __init__(self):
        self._lock = asyncio.Lock()

    async def transfer(self, other, both):
        async with self._lock:
            both.append(None)
            while len(both) < 2:
                await asyncio.sleep(0)
            onset()
            async with other._lock:
                pass


async def heartbeat():
    while True:
        await asyncio.sleep(0.05)


async def main():
    ours, theirs, both = Account(), Account(), []
    await asyncio.gather(heartbeat(), ours.transfer(theirs, both), theirs.transfer(ours, both))


asyncio.run(main())
