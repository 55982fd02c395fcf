"""The other end of sockets: of our own ones, and out of tables as the kernel writes them."""

from __future__ import annotations

import os
import socket
import sys

import pytest
from unit.proof_factory import in_call

from deadlock_matrix.capture.peers import ends_in, peers_of, unix_peer
from deadlock_matrix.capture.proc_files import open_directory
from deadlock_matrix.model.fact import Known, Unknown, known, unknown
from deadlock_matrix.model.process_facts import Descriptor, Peer

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="asks the kernel")

HEAD = b"  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n"
REST = b"01 00000000:00000000 00:00000000 00000000     0        0 4711 1 0 20 4 30 10 -1\n"


@pytest.mark.skipif(sys.byteorder != "little", reason="written for this order of bytes")
@pytest.mark.parametrize(
    ("remote", "told"),
    [
        (b"0100007F:0050", "127.0.0.1:80"),
        (b"B80D0120000000000000000001000000:01BB", "[2001:db8::1]:443"),
        (b"0000000000000000FFFF00000100007F:0050", "127.0.0.1:80"),
    ],
)
def test_addresses_of_a_table(remote: bytes, told: str) -> None:
    table = HEAD + b"   0: 0100007F:8F21 " + remote + b" " + REST
    assert ends_in(table, [4711, 12]) == {4711: ("127.0.0.1:36641", told)}
    assert not ends_in(table, [471]) and not ends_in(b"", [4711])


def test_of_a_pair_each_has_the_other() -> None:
    one, other = socket.socketpair()
    with one, other:
        assert unix_peer(os.fstat(one.fileno()).st_ino) == (os.fstat(other.fileno()).st_ino, True)
    with socket.socket(socket.AF_UNIX) as alone:
        assert unix_peer(os.fstat(alone.fileno()).st_ino) == (0, False)
    one, other = socket.socketpair(type=socket.SOCK_DGRAM)
    with one, other:  # anybody could send to one with a name
        assert unix_peer(os.fstat(one.fileno()).st_ino) == (os.fstat(other.fileno()).st_ino, False)


def peers(*sockets: socket.socket) -> Known[tuple[Peer, ...]] | Unknown:
    """As they are found when a thread of ours reads from each."""
    found = tuple(
        Descriptor(number=each.fileno(), target=name(each), access="rw") for each in sockets
    )
    reading = [in_call(1, "recvfrom", each.fileno()) for each in sockets]
    directory = open_directory("/proc/self")
    try:
        return peers_of(os.getpid(), directory, known(found, "fd"), reading)
    finally:
        os.close(directory)


def name(of: socket.socket) -> str:
    return f"socket:[{os.fstat(of.fileno()).st_ino}]"


def test_our_own_sockets() -> None:
    one, other = socket.socketpair()
    with one, other, socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client:
            found = peers(one, client)
    assert isinstance(found, Known)
    assert found.value[0].protocol == "UNIX" and found.value[0].other.startswith("socket:[")
    assert (found.value[1].protocol, found.value[1].other) == ("TCP", f"127.0.0.1:{port}")


def test_what_cannot_be_read_is_unknown() -> None:
    hidden = unknown("the test hides it")
    assert peers_of(1, -1, hidden, []) == hidden
    gone = known((Descriptor(number=999, target="socket:[1]", access="rw"),), "fd")
    directory = open_directory("/proc/self")
    try:
        found = peers_of(os.getpid(), directory, gone, [in_call(1, "recvfrom", 999)])
    finally:
        os.close(directory)
    assert isinstance(found, Unknown)
