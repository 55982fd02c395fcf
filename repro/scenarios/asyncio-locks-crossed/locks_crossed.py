"""Two tasks cross two locks; the loop has nothing else to do."""
import asyncio
import sys
import time


def onset():
    sys.stderr.write(f"onset {time.monotonic()}\n")
    sys.stderr.flush()


async def take(mine, other, both):
    async with mine:
        both.append(None)
        while len(both) < 2:
            await asyncio.sleep(0)
        onset()
        async with other:
            pass


async def main():
    first, second, both = asyncio.Lock(), asyncio.Lock(), []
    await asyncio.gather(take(first, second, both), take(second, first, both))


asyncio.run(main())
