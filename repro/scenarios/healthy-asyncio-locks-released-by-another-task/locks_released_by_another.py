"""Locks held in `async with` blocks that a third task releases."""
import asyncio


async def take(mine, other, both):
    try:
        async with mine:
            both.append(None)
            while len(both) < 2:
                await asyncio.sleep(0)
            async with other:
                pass
    except RuntimeError:
        pass  # somebody else has released it


async def release(*locks):
    await asyncio.sleep(6)
    for lock in locks:
        lock.release()


async def main():
    first, second, both = asyncio.Lock(), asyncio.Lock(), []
    await asyncio.gather(
        take(first, second, both), take(second, first, both), release(first, second)
    )


asyncio.run(main())
