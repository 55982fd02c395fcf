"""Two tasks cross two locks; a context manager of the program's own limits their time."""
import asyncio
import contextlib


@contextlib.asynccontextmanager
async def deadline(seconds):
    async with asyncio.timeout(seconds):
        yield


async def take(mine, other, both, within_s):
    try:
        async with deadline(within_s), mine:
            both.append(None)
            while len(both) < 2:
                await asyncio.sleep(0)
            async with other:
                pass
    except TimeoutError:
        pass


async def heartbeat():
    while True:
        await asyncio.sleep(0.05)


async def main():
    first, second, both = asyncio.Lock(), asyncio.Lock(), []
    beat = asyncio.ensure_future(heartbeat())
    await asyncio.gather(take(first, second, both, 6), take(second, first, both, 6))
    beat.cancel()


asyncio.run(main())
