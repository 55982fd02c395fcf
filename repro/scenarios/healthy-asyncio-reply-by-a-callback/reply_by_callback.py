"""A callback that the loop keeps completes the future."""
import asyncio


async def heartbeat():
    while True:
        await asyncio.sleep(0.05)


async def request():
    loop = asyncio.get_running_loop()
    reply = loop.create_future()
    loop.call_later(6, reply.set_result, None)
    await reply


async def main():
    beat = asyncio.ensure_future(heartbeat())
    await asyncio.gather(request())
    beat.cancel()


asyncio.run(main())
