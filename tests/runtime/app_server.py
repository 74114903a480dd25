"""argv: name of the release. A small program that answers over web.sock in its working folder, as apps do.

It leaves as docs/serving.md asks of whoever listens there: on SIGTERM it takes its name away, closes the door,
answers whom the kernel had let in already, and ends with its last connection.
"""

import contextlib
import hashlib
import json
import os
import signal
import socket
import sys
import threading
import time
from pathlib import Path

RELEASE = sys.argv[1].encode()
MARK = b"[" + RELEASE + b"]"


class Connection:
    def __init__(self, door):
        self.door = door
        self.unread = b""
        head = self._until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        self.method, self.target, _ = head[0].split(" ")
        self.headers = [tuple(line.split(": ", 1)) for line in head[1:]]
        self.header = {name.lower(): value for name, value in self.headers}

    def _more(self):
        data = self.door.recv(1 << 16)
        if not data:
            raise EOFError
        self.unread += data

    def _until(self, mark):
        while mark not in self.unread:
            self._more()
        found, _, self.unread = self.unread.partition(mark)
        return found

    def _exactly(self, count):
        while count:
            if not self.unread:
                self._more()
            part, self.unread = self.unread[:count], self.unread[count:]
            count -= len(part)
            yield part

    def body(self):
        if "transfer-encoding" in self.header:
            while size := int(self._until(b"\r\n"), 16):
                yield from self._exactly(size)
                self._until(b"\r\n")
            self._until(b"\r\n")
        else:
            yield from self._exactly(int(self.header.get("content-length", 0)))

    def wait(self):
        """Until the file that the test named is there."""
        while not Path(self.header["x-wait"]).exists():
            time.sleep(0.005)

    def send(self, data):
        self.door.sendall(data)

    def answer(self, body, status=b"200 OK", *more):
        lines = [b"HTTP/1.1 " + status, b"Content-Length: %d" % len(body), b"X-Release: " + RELEASE, *more]
        self.send(b"\r\n".join([*lines, b"", b"" if self.method == "HEAD" else body]))

    def chunk(self, data):
        self.send(b"%x\r\n%b\r\n" % (len(data), data))


def page(c):
    """The release's mark around a hash of what was sent, and some filler."""
    known = hashlib.sha256()
    for part in c.body():
        known.update(part)
    c.answer(MARK + known.hexdigest().encode() + b"." * 3000 + MARK)


def said(c):
    for _ in c.body():
        pass
    told = {
        "behind": c.unread.decode("latin-1"),
        "method": c.method,
        "target": c.target,
        "headers": c.headers,
        "release": RELEASE.decode(),
    }
    c.answer(json.dumps(told).encode(), b"200 Fine", b"Content-Type: application/json")


def upload(c):
    if "x-wait" in c.header:
        c.wait()
    count, known = 0, hashlib.sha256()
    for part in c.body():
        count += len(part)
        known.update(part)
    c.answer(json.dumps([count, known.hexdigest()]).encode())


def early(c):
    c.answer(b"too large", b"413 Content Too Large", b"Connection: close")
    if not c.target.endswith("?rude"):
        for _ in c.body():
            pass


def stream(c):
    kind = b"text/event-stream" if c.target == "/events" else b"text/plain"
    c.send(b"HTTP/1.1 200 OK\r\nContent-Type: " + kind + b"\r\nTransfer-Encoding: chunked\r\n\r\n")
    c.chunk(b"data: " + RELEASE + b" one\n\n")
    c.wait()
    c.chunk(b"data: " + RELEASE + b" two\n\n")
    c.send(b"0\r\n\r\n")


def slow(c):
    c.wait()
    c.answer(MARK)


def gone(c):
    """Says whether the visitor's going was noticed."""
    c.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
    c.chunk(b"here\n")
    with contextlib.suppress(OSError):
        while c.door.recv(100):
            pass
    open(c.header["x-wait"], "w").close()


def large(c):
    """Tells by a file that nobody has taken anything for a while, and goes on."""
    count = int(c.header["x-size"])
    c.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % count)
    part = bytes(1 << 16)
    c.door.settimeout(0.5)
    while count > 0:
        try:
            count -= c.door.send(part[:count])
        except TimeoutError:
            Path(c.header["x-wait"]).touch()


def die_counted(c):
    c.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nbegun")


def die_chunked(c):
    c.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nbegun\r\n")


def until_closed(c):
    c.send(b"HTTP/1.1 200 OK\r\nX-Release: " + RELEASE + b"\r\n\r\n" + MARK)
    c.send(b"-" * 100_000 + MARK)


def interim(c):
    c.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n")
    c.answer(MARK)


def silent(c):
    with open(c.header["x-wait"], "a") as file:
        file.write("asked\n")


def nonsense(c):
    c.send(b"220 mail.example ESMTP\r\n\r\n")


def endless_head(c):
    c.send(b"HTTP/1.1 200 OK\r\n")
    with contextlib.suppress(OSError):
        while True:
            c.send(b"X-Long: " + b"x" * 1000 + b"\r\n")


def empty(c):
    status = c.target.rpartition("/")[2].encode()
    length = b"Content-Length: 5\r\n" if status == b"304" else b""
    c.send(b"HTTP/1.1 " + status + b" Empty\r\n" + length + b"ETag: x\r\n\r\n")


def hops(c):
    c.answer(
        b"x",
        b"200 OK",
        b"Keep-Alive: timeout=5",
        b"Connection: X-Mine",
        b"X-Mine: 1",
        b"X-Robots-Tag: all",
    )


def websocket(c):
    accept = c.header.get("sec-websocket-key", "").encode()
    c.send(
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nX-Release: "
        + RELEASE + b"\r\nSec-WebSocket-Accept: " + accept + b"\r\n\r\n" + MARK
    )  # fmt: skip
    c.send(c.unread)
    while data := c.door.recv(1 << 16):
        c.send(data)


ROUTES = {
    "/said": said, "/upload": upload, "/early": early, "/stream": stream, "/events": stream, "/slow": slow,
    "/gone": gone, "/large": large, "/die/counted": die_counted, "/die/chunked": die_chunked,
    "/until-closed": until_closed, "/interim": interim, "/silent": silent, "/nonsense": nonsense,
    "/endless-head": endless_head, "/empty/204": empty, "/empty/304": empty, "/hops": hops, "/ws": websocket,
}  # fmt: skip


def serve(door):
    with door, contextlib.suppress(OSError, EOFError):
        connection = Connection(door)
        ROUTES.get(connection.target.partition("?")[0], page)(connection)


def main():
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(f"beside.{os.getpid()}")
    listener.listen(1000)
    Path(f"beside.{os.getpid()}").rename("web.sock")

    def leave(*_):
        Path("web.sock").unlink()
        listener.shutdown(socket.SHUT_RD)

    signal.signal(signal.SIGTERM, leave)
    while True:
        try:
            door, _ = listener.accept()
        except OSError:
            break  # the door is closed and the last one in the queue has been answered
        threading.Thread(target=serve, args=(door,)).start()


main()
