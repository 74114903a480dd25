"""argv: address port host stop-file. Asks an app until that file is there; says `requests failed mixed releases`.

Four at once: GET and POST, each over a kept connection and over new ones. An answer is whole when its header, its
first and its last bytes name one and the same release, and it holds the hash of what was sent.
"""

import hashlib
import http.client
import os
import sys
import threading
from pathlib import Path

address, port, host, stop = sys.argv[1:]
counts = {"requests": 0, "failed": 0, "mixed": 0}
seen = set()
lock = threading.Lock()


def ask(connection, method, body):
    connection.request(method, "/", body=body, headers={"Host": host})
    answer = connection.getresponse()
    return answer.status, answer.headers.get("X-Release", ""), answer.read()


def read(method, kept):
    connection = http.client.HTTPConnection(address, int(port), timeout=20)
    while not Path(stop).exists():
        body = os.urandom(3000) if method == "POST" else b""
        try:
            status, release, said = ask(connection, method, body or None)
        except (OSError, http.client.HTTPException) as error:
            status, release, said = 0, "", repr(error).encode()
            connection.close()
        mark = f"[{release}]".encode()
        whole = said == mark + hashlib.sha256(body).hexdigest().encode() + b"." * 3000 + mark
        with lock:
            counts["requests"] += 1
            if status != 200:
                counts["failed"] += 1
                sys.stderr.write(f"{method} kept={kept}: {status} {said[:200]!r}\n")
            elif not whole:
                counts["mixed"] += 1
            seen.add(release)
        if not kept:
            connection.close()


threads = [
    threading.Thread(target=read, args=(method, kept)) for method in ("GET", "POST") for kept in (True, False)
]
for thread in threads:
    thread.start()
Path(f"{stop}.begun").touch()
for thread in threads:
    thread.join()
sys.stdout.write(" ".join(map(str, (*counts.values(), len(seen)))) + "\n")
