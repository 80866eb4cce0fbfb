"""Lines that bytes come over: real terminals, real sockets, files."""

from __future__ import annotations

import os
import socket
import struct
import threading

import pytest

from clearway_core.errors import SourceUnavailable
from clearway_core.settings import Section
from clearway_edge.sources.devices.lines import (
    FileLine,
    LineSettings,
    SerialLine,
    TcpLine,
    host_port,
    open_line,
)

FRAME = bytes(range(32))


def test_serial_line_reads_a_real_terminal():
    ours, theirs = os.openpty()
    line = SerialLine(os.ttyname(theirs), 9600)
    try:
        assert line.receive(0.01) == b""
        os.write(ours, FRAME)
        received = b""
        while len(received) < 32:
            received += line.receive(1.0)
        assert received == FRAME
    finally:
        line.close()
        os.close(ours)
        os.close(theirs)


def test_missing_serial_port_says_what_to_check():
    with pytest.raises(SourceUnavailable, match="Plug the device in"):
        SerialLine("/dev/does-not-exist", 9600).receive(0.1)


def test_tcp_line_reads_and_notices_the_end():
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            connection, _ = server.accept()
            connection.sendall(b"$GP")
            connection.close()

        thread = threading.Thread(target=serve)
        thread.start()
        line = TcpLine(*server.getsockname())
        assert line.receive(2.0) == b"$GP"
        with pytest.raises(SourceUnavailable, match="closed the connection"):
            line.receive(2.0)
        thread.join()
        line.close()


def test_file_line_ends_without_an_error(tmp_path):
    file = tmp_path / "log"
    file.write_bytes(b"abc")
    line = FileLine(file)
    assert (line.receive(0), line.receive(0)) == (b"abc", b"")
    line.close()


def served(handler):
    """Return the address of a server that treats one connection by `handler`."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve():
        with server:
            connection, _ = server.accept()
            connection.settimeout(5)
            with connection:
                handler(connection)

    threading.Thread(target=serve, daemon=True).start()
    return server.getsockname()


def test_device_behind_tcp_is_greeted_and_takes_commands():
    heard = []
    done = threading.Event()

    def handler(connection):
        while sum(map(len, heard)) < len(b"hello" + b"value?"):
            heard.append(connection.recv(100))
        connection.sendall(FRAME)
        done.wait(5)

    line = open_line(LineSettings(tcp=served(handler)), greeting=b"hello")
    line.send(b"lost")  # nothing happens before it is open
    assert line.receive(0.0) == b""
    line.send(b"value?")
    assert line.receive(2.0) == FRAME
    assert line.receive(0.0) == b""
    assert b"".join(heard) == b"hellovalue?"
    line.close()
    done.set()


def test_device_behind_tcp_that_resets_the_connection_is_told_in_one_line():
    def handler(connection):
        linger = struct.pack("ii", 1, 0)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        connection.recv(1)

    line = open_line(LineSettings(tcp=served(handler)), greeting=b"x")

    def talk():
        for _ in range(100):
            line.receive(0.05)
            line.send(b"y" * 100_000)

    with pytest.raises(SourceUnavailable, match=r"sends nothing: .*Check the device"):
        talk()


def test_address_where_nobody_listens_is_told_in_one_line():
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = server.getsockname()
    with pytest.raises(SourceUnavailable, match=f"127.0.0.1:{address[1]} sends nothing: .*refused"):
        TcpLine(*address).receive(0.1)


def test_cable_pulled_between_two_looks_at_the_port_keeps_what_had_come():
    ours, theirs = os.openpty()
    line = SerialLine(os.ttyname(theirs), 9600)
    line.receive(0.0)
    os.write(ours, b"x")
    port = line._open

    class Pulled:
        timeout = 0.0

        def read(self, size):
            return port.read(size)

        @property
        def in_waiting(self):
            raise OSError(5, "Input/output error")

        def close(self):
            port.close()

    line._open = Pulled()
    assert line.receive(0.0) == b"x"
    assert line._open is None
    os.close(ours)
    os.close(theirs)


@pytest.mark.parametrize(
    ("text", "address"),
    [("host:2947", ("host", 2947)), ("[::1]:1", ("::1", 1)), ("host", None), ("h:0", None),
     ("h:65536", None), (":1", None)],
)  # fmt: skip
def test_address_is_a_host_and_a_port(text, address):
    faults = []
    found = host_port(Section({}, file="f", faults=faults), "tcp", text)
    assert (found, faults) == (address, []) if address else len(faults) == 1


def test_recording_takes_commands_without_a_word(tmp_path):
    (tmp_path / "log").write_bytes(b"abc")
    line = open_line(LineSettings(file=tmp_path / "log"), greeting=b"hello")
    line.send(b"value?")
    assert line.receive(0) == b"abc"
    line.close()
    with pytest.raises(SourceUnavailable, match="cannot be read: No such file"):
        open_line(LineSettings(file=tmp_path / "none")).receive(0)


def test_line_without_any_end_is_a_mistake():
    with pytest.raises(ValueError, match="a serial port, a TCP address or a file"):
        open_line(LineSettings())
