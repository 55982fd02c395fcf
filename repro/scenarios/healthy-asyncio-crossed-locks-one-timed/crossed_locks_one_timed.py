"""Two tasks cross two locks; one of them gives up after some seconds."""
import asyncio


async def take(mine, other, both, within_s):
    async with mine:
        both.append(None)
        while len(both) < 2:
            await asyncio.sleep(0)
        try:
            await asyncio.wait_for(other.acquire(), within_s)
        except asyncio.TimeoutError:
            return
        other.release()


async def heartbeat():
    while True:
        await asyncio.sleep(0.05)


async def main():
    first, second, both = asyncio.Lock(), asyncio.Lock(), []
    beat = asyncio.ensure_future(heartbeat())
    await asyncio.gather(take(first, second, both, 6), take(second, first, both, None))
    beat.cancel()


asyncio.run(main())
