"""A server waits for a client, which comes in the end from another process."""
import asyncio
import os
import socket
import time


async def main():
    done = asyncio.Event()

    async def serve(reader, writer):
        await reader.read()
        writer.close()
        done.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    address = server.sockets[0].getsockname()
    child = os.fork()
    if child == 0:
        time.sleep(6)
        socket.create_connection(address).close()
        os._exit(0)
    await done.wait()
    server.close()
    os.waitpid(child, 0)


asyncio.run(main())
