"""Git's pkt-line framing (gitprotocol-common(5)): four hex digits of length, then the bytes; `0000` ends a list."""

from __future__ import annotations

from collections.abc import Iterable
from typing import BinaryIO

from gitdeploy.errors import Failed

FLUSH = b"0000"
LONGEST = 65516


def read_list(stream: BinaryIO) -> list[bytes]:
    """The packets up to the next flush, without their trailing newline. Raises Failed on a torn stream."""
    packets = []
    while (packet := _read(stream)) is not None:
        packets.append(packet.removesuffix(b"\n"))
    return packets


def write_list(packets: Iterable[bytes]) -> bytes:
    """The packets, each cut to what one can hold, followed by a flush."""
    cut = (packet[:LONGEST] for packet in packets)
    return b"".join(b"%04x%s" % (len(packet) + 4, packet) for packet in cut) + FLUSH


def _read(stream: BinaryIO) -> bytes | None:
    head = _exactly(stream, 4)
    if head == FLUSH:
        return None
    try:
        length = int(head, 16) - 4
    except ValueError:
        raise Failed("Git sent something that is not a packet.") from None
    if length < 0:
        raise Failed("Git sent a packet of an impossible length.")
    return _exactly(stream, length)


def _exactly(stream: BinaryIO, length: int) -> bytes:
    data = stream.read(length)
    if len(data) != length:
        raise Failed("Git ended the conversation early.")
    return data
