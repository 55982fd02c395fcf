"""A module that logs to a server over TCP; as behind a firewall, nothing answers."""

import logging.handlers
import socket

server = socket.socket()
server.bind(("127.0.0.1", 0))
server.listen(0)
first = socket.create_connection(server.getsockname())
# Nobody accepts the first, and no second one may wait: the kernel drops its packets.
handler = logging.handlers.SysLogHandler(server.getsockname(), socktype=socket.SOCK_STREAM)
