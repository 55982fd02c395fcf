"""A TaskGroup of two tasks that take two locks in opposite order."""
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
    async with asyncio.TaskGroup() as group:
        group.create_task(take(first, second, both), name="first")
        group.create_task(take(second, first, both), name="second")


asyncio.run(main())
