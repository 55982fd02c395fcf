"""Two tasks cross two locks, and whoever awaits them gives up."""
import asyncio


async def take(mine, other, both):
    async with mine:
        both.append(None)
        while len(both) < 2:
            await asyncio.sleep(0)
        async with other:
            pass


async def heartbeat():
    while True:
        await asyncio.sleep(0.05)


async def main():
    first, second, both = asyncio.Lock(), asyncio.Lock(), []
    beat = asyncio.ensure_future(heartbeat())
    two = asyncio.gather(take(first, second, both), take(second, first, both))
    try:
        await asyncio.wait_for(two, 6)
    except asyncio.TimeoutError:
        beat.cancel()


asyncio.run(main())
