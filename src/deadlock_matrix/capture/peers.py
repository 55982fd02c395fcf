"""The other end of the sockets that threads sleep on: an address and port, or another socket.

Sources: ``/proc/PID/net/tcp`` and ``tcp6``, which show the process's own network namespace, and the
kernel's ``sock_diag`` (``UNIX_DIAG_PEER``), which shows only ours. Both are for a reader's eyes:
whoever is at the other end now may pass it on.
"""

from __future__ import annotations

import ipaddress
import os
import struct
from collections.abc import Collection, Iterable, Iterator, Sequence

from deadlock_matrix.capture.kept import Kept
from deadlock_matrix.capture.proc_files import reason_of
from deadlock_matrix.model.fact import Known, Unknown, known, unknown
from deadlock_matrix.model.process_facts import Descriptor, Peer
from deadlock_matrix.model.system_calls import WaitsFor, blocking
from deadlock_matrix.model.thread_facts import ThreadFacts

MOST_SOCKETS = 64
MOST_BYTES = 1 << 22
"""Of a table of TCP connections: some 28,000. On a machine with more, the peer stays unknown."""

_ON_A_SOCKET = (WaitsFor.READ, WaitsFor.WRITE, WaitsFor.CONNECT)
_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_REQUEST = 1  # NLM_F_REQUEST
_UNIX_DIAG_PEER = 2  # the attribute's type
_SHOW_PEER = 4  # UDIAG_SHOW_PEER
_ESTABLISHED = 1  # TCP_ESTABLISHED, which Unix sockets use too
_ANY = 0xFFFF_FFFF
_HEADER = struct.Struct("=IHHII")
_ASKED = struct.Struct("=BBHIIIII")
_TOLD = struct.Struct("=BBBBI8x")
_ATTRIBUTE = struct.Struct("=HH")

_kept_ends: Kept[tuple[int, str], tuple[str, str]] = Kept(1024)
"""Of TCP sockets, by process and socket."""


def peers_of(
    pid: int,
    directory: int,
    descriptors: Known[tuple[Descriptor, ...]] | Unknown,
    threads: Iterable[ThreadFacts],
) -> Known[tuple[Peer, ...]] | Unknown:
    """Return the other ends of the sockets on which a process's threads sleep.

    Args:
        pid: The process, for the source.
        directory: A descriptor of ``/proc/PID``, or of a thread's folder in it.
        descriptors: What it has open.
        threads: Its threads.
    """
    if isinstance(descriptors, Unknown):
        return descriptors
    targets = {each.number: each.target for each in descriptors.value}
    numbers = dict.fromkeys(number for thread in threads for number in _slept_on(thread))
    sockets = {
        targets[number]: number
        for number in numbers
        if targets.get(number, "").startswith("socket:[")
    }
    some = dict(list(sockets.items())[:MOST_SOCKETS])
    try:
        protocols = {target: _protocol(number, directory) for target, number in some.items()}
        unix = [target for target, protocol in protocols.items() if protocol.startswith("UNIX")]
        tcp = [target for target, protocol in protocols.items() if protocol in ("TCP", "TCPv6")]
        found = [*filter(None, map(_unix_peer, unix)), *_tcp_peers(pid, tcp, directory)]
    except (OSError, ValueError, struct.error) as error:
        if isinstance(error, OSError):
            return unknown(reason_of(error, f"/proc/{pid}/net"))
        return unknown(f"/proc/{pid}/net has an unexpected form: {error}")
    return known(tuple(found), f"/proc/{pid}/net/tcp, sock_diag")


def _slept_on(thread: ThreadFacts) -> Iterator[int]:
    if thread.call is None:
        return
    if blocking(thread.call.name).waits_for in _ON_A_SOCKET:
        yield thread.call.arguments[0]
    if isinstance(thread.polled, Known):
        yield from (each.descriptor for each in thread.polled.value)


def _protocol(number: int, directory: int) -> str:
    name = os.getxattr(f"/proc/self/fd/{directory}/fd/{number}", "system.sockprotoname")
    return name.rstrip(b"\0").decode("ascii", "replace")


def _inode(target: str) -> int:
    return int(target[len("socket:[") : -1])


def _unix_peer(target: str) -> Peer | None:
    other, pair = unix_peer(_inode(target))
    if not other:
        return None
    return Peer(socket=target, protocol="UNIX", other=f"socket:[{other}]", pair=pair)


def _tcp_peers(pid: int, targets: Sequence[str], directory: int) -> Iterator[Peer]:
    """Yield the peers of sockets, reading each table once, and only for what is not known yet.

    A socket keeps its two ends as long as it has any. A table costs milliseconds, however short.
    """
    for table in ("net/tcp", "net/tcp6"):
        missing = {_inode(each) for each in targets if _kept_ends.get((pid, each)) is None}
        if missing:
            for inode, ends in ends_in(_bounded(table, directory), missing).items():
                _kept_ends.keep((pid, f"socket:[{inode}]"), ends)
    for target in targets:
        known_ends = _kept_ends.get((pid, target))
        if known_ends is not None:
            yield Peer(socket=target, protocol="TCP", own=known_ends[0], other=known_ends[1])


def _bounded(path: str, directory: int) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC, dir_fd=directory)
    except FileNotFoundError:  # a kernel without IPv6
        return b""
    raw = b""
    try:
        while len(raw) < MOST_BYTES and (part := os.read(descriptor, 1 << 16)):
            raw += part
    finally:
        os.close(descriptor)
    return raw


def ends_in(table: bytes, inodes: Collection[int]) -> dict[int, tuple[str, str]]:
    """Return address and port at this end and at the other of sockets in ``/proc/PID/net/tcp``.

    The table has an address as words of 32 bits in the machine's order, and the port as a number.
    """
    wanted = {str(inode).encode() for inode in inodes}
    found: dict[int, tuple[str, str]] = {}
    for line in table.splitlines()[1:]:
        fields = line.split(None, 10)
        if len(fields) > 9 and fields[9] in wanted:
            found[int(fields[9])] = _address(fields[1]), _address(fields[2])
    return found


def _address(text: bytes) -> str:
    address, _, port = text.partition(b":")
    words = [int(address[at : at + 8], 16) for at in range(0, len(address), 8)]
    packed = b"".join(struct.pack("=I", word) for word in words)
    ip = ipaddress.ip_address(packed)
    if ip.version == 6 and ip.ipv4_mapped is not None:
        ip = ip.ipv4_mapped
    host = f"[{ip}]" if ip.version == 6 else str(ip)
    return f"{host}:{int(port, 16)}"


def unix_peer(inode: int) -> tuple[int, bool]:
    """Return the socket that a Unix socket is connected to, and whether that alone can send to it.

    Returns:
        Its inode (0 if there is none, or none that we can see), and whether it is a connected
            stream: to one of those only the other end sends, while anybody may send to a datagram
            socket with a name.

    Raises:
        OSError: The kernel has no ``sock_diag``, or does not answer.
    """
    import socket

    asked = _ASKED.pack(socket.AF_UNIX, 0, 0, _ANY, inode, _SHOW_PEER, _ANY, _ANY)
    header = _HEADER.pack(_HEADER.size + len(asked), _SOCK_DIAG_BY_FAMILY, _REQUEST, 1, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_SOCK_DIAG) as link:
        link.settimeout(0.2)
        link.send(header + asked)
        answer = link.recv(1 << 16)
    if len(answer) < _HEADER.size or _HEADER.unpack_from(answer)[1] != _SOCK_DIAG_BY_FAMILY:
        return 0, False
    if len(answer) < _HEADER.size + _TOLD.size:
        return 0, False
    _, kind_of_socket, state, _, number = _TOLD.unpack_from(answer, _HEADER.size)
    pair = number == inode and kind_of_socket == socket.SOCK_STREAM and state == _ESTABLISHED
    at = _HEADER.size + _TOLD.size
    while at + _ATTRIBUTE.size <= len(answer):
        length, kind = _ATTRIBUTE.unpack_from(answer, at)
        if kind == _UNIX_DIAG_PEER and length >= _ATTRIBUTE.size + 4:
            return int.from_bytes(answer[at + _ATTRIBUTE.size :][:4], "little"), pair
        at += max((length + 3) & ~3, _ATTRIBUTE.size)
    return 0, False
