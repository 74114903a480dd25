"""A process of visitors of `app.py`: new and kept connections, slow uploads, long downloads, upgraded connections. It
writes down every request that failed and every answer that did not name exactly one release.

usage: app_visitor.py HOST:PORT SITE-HOST OUT   (reads standard input until its end, then stops)
"""

from __future__ import annotations

import hashlib
import http.client
import json
import socket
import sys
import threading
import time
from collections import Counter

ADDRESS, HOST, OUT = sys.argv[1:]
STOP = threading.Event()


def ask(
    connection: http.client.HTTPConnection, method: str = "GET", path: str = "/", body: object = None
) -> bytes:
    headers = {"Host": HOST, **({"Content-Length": str(SLOW)} if body else {})}
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    said = answer.read()
    if answer.status != 200:
        raise ValueError(f"{method} {path}: {answer.status}")
    return said


def one_release(said: bytes) -> None:
    names = {line for line in said.split(b"\n") if line.startswith(b"release ")}
    if len(names) != 1:
        raise ValueError(f"names {sorted(names)}")


def fresh() -> None:
    connection = connect()
    one_release(ask(connection))
    connection.close()


KEPT = threading.local()


def kept() -> None:
    if not hasattr(KEPT, "connection"):
        KEPT.connection = connect()
    one_release(ask(KEPT.connection))


SLOW = 20 * 4096


def upload() -> None:
    piece = b"u" * 4096

    def slowly():
        for _ in range(SLOW // len(piece)):
            yield piece
            time.sleep(0.05)

    connection = connect()
    said = ask(connection, "POST", "/upload", slowly())
    one_release(said)
    if hashlib.sha256(b"u" * SLOW).hexdigest().encode() not in said:
        raise ValueError("the upload did not arrive whole")
    connection.close()


def download() -> None:
    connection = connect()
    one_release(ask(connection, path="/long"))
    connection.close()


def talk() -> None:
    host, port = ADDRESS.rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=20) as door:
        door.sendall(
            f"GET /talk HTTP/1.1\r\nHost: {HOST}\r\nUpgrade: lines\r\nConnection: Upgrade\r\n\r\n".encode()
        )
        said = b""
        while b"\r\n\r\n" not in said:
            said += received(door)
        if b" 101 " not in said.split(b"\r\n")[0]:
            raise ValueError(f"upgrade: {said[:60]!r}")
        said = said.split(b"\r\n\r\n", 1)[1]
        for number in range(1, 21):
            door.sendall(b"more\n")
            while said.count(b"\n") < number:
                said += received(door)
            time.sleep(0.1)
        one_release(said)


def received(door: socket.socket) -> bytes:
    data = door.recv(4096)
    if not data:
        raise ValueError("the connection ended")
    return data


def connect() -> http.client.HTTPConnection:
    return http.client.HTTPConnection(ADDRESS, timeout=20)


def again(act, told: Counter, failed: list[str]) -> None:
    while not STOP.is_set():
        try:
            act()
            told[act.__name__] += 1
        except (OSError, ValueError, http.client.HTTPException) as error:
            failed.append(f"{act.__name__}: {error!r}")
            KEPT.__dict__.clear()


def main() -> None:
    told: Counter = Counter()
    failed: list[str] = []
    acts = (fresh, fresh, fresh, kept, kept, upload, upload, download, download, talk, talk)
    threads = [threading.Thread(target=again, args=(act, told, failed)) for act in acts]
    for thread in threads:
        thread.start()
    sys.stdin.read()
    STOP.set()
    for thread in threads:
        thread.join()
    with open(OUT, "w") as file:
        json.dump({"requests": dict(told), "failed": failed}, file)


main()
