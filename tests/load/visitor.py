"""A process of visitors: asks for two files again and again until told to stop, and writes down what was wrong.

usage: visitor.py HOST:PORT SITE-HOST OUT   (reads standard input until its end, then stops)
"""

from __future__ import annotations

import http.client
import json
import sys
import threading

PATHS = ("/", "/large.txt")


def visit(address: str, host: str, keep: bool, stop: threading.Event, told: dict[str, object]) -> None:
    connection = http.client.HTTPConnection(address, timeout=20)
    while not stop.is_set():
        for path in PATHS:
            try:
                connection.request("GET", path, headers={"Host": host, "Accept-Encoding": "identity"})
                answer = connection.getresponse()
                body = answer.read()
            except (OSError, http.client.HTTPException) as error:
                told["failed"].append(repr(error))
                connection.close()
                continue
            marks = {line for line in body.split(b"\n") if line.startswith(b"release ")}
            told["requests"] += 1
            if answer.status != 200 or len(marks) != 1:
                told["failed"].append(f"{path}: {answer.status}, {sorted(marks)}")
                continue
            tag = f"{path} {answer.getheader('etag')}"
            seen = told["tags"].setdefault(tag, sorted(marks)[0].decode())
            if seen.encode() not in marks:
                told["failed"].append(f"{tag} stands for {seen} and {marks}")
        if not keep:
            connection.close()


def main() -> None:
    address, host, out = sys.argv[1:]
    stop = threading.Event()
    told = [{"requests": 0, "failed": [], "tags": {}} for _ in range(6)]
    threads = [
        threading.Thread(target=visit, args=(address, host, number % 2 == 0, stop, one))
        for number, one in enumerate(told)
    ]
    for thread in threads:
        thread.start()
    sys.stdin.read()
    stop.set()
    for thread in threads:
        thread.join()
    with open(out, "w") as file:
        json.dump(
            {
                "requests": sum(one["requests"] for one in told),
                "failed": [what for one in told for what in one["failed"]],
                "tags": sorted({f"{tag} {release}" for one in told for tag, release in one["tags"].items()}),
            },
            file,
        )


main()
