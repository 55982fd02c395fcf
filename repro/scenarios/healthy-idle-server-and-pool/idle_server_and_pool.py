"""A server before its first client."""
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

server = socket.create_server(("127.0.0.1", 0))
pool, there = ThreadPoolExecutor(2), threading.Barrier(2)
for future in [pool.submit(there.wait) for _ in range(2)]:
    future.result()


def call():
    time.sleep(4)
    socket.create_connection(server.getsockname()).close()


caller = threading.Thread(target=call)
caller.start()
connection, _ = server.accept()
connection.close()
caller.join()
assert pool.submit(int, "7").result() == 7
pool.shutdown()
