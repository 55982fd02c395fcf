"""The only task waits for a child."""
import asyncio


async def main():
    child = await asyncio.create_subprocess_exec("sleep", "6")
    await child.wait()


asyncio.run(main())
