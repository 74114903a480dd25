"""argv: address port host path stop-file [once]. Reads until that file is there.

Says `requests failed mixed seen…`. Half of the requests go over one kept connection, half (with `once`: all)
over new ones. A body must begin and end with the marker of one release and hold that release's filler only.
"""

import http.client
import sys
from pathlib import Path

address, port, host, path, stop, *once_only = sys.argv[1:]
FILLER = {b"[r1]": b"-", b"[r2]": b"="}
LENGTH = {b"[r1]": 3_000, b"[r2]": 5_000}
requests = failed = mixed = 0
seen = set()
kept = http.client.HTTPConnection(address, int(port), timeout=20)
while not Path(stop).exists():
    once = http.client.HTTPConnection(address, int(port), timeout=20)
    for connection in (once,) if once_only else (kept, once):
        requests += 1
        try:
            connection.request("GET", path, headers={"Host": host})
            answer = connection.getresponse()
            body = answer.read()
        except (OSError, http.client.HTTPException) as error:
            failed += 1
            sys.stderr.write(f"{error!r}\n")
            continue
        mark = body[:4]
        length = LENGTH.get(mark, 0) * (200 if path == "/big.bin" else 1)
        whole = mark in FILLER and body == mark + FILLER[mark] * length + mark
        if answer.status != 200:
            failed += 1
        elif not whole or answer.headers.get("X-Release", mark[1:3].decode()) != mark[1:3].decode():
            mixed += 1
        else:
            seen.add(mark[1:3].decode())
    once.close()
    Path(stop).with_name(f"{path[1:]}.begun").touch()
sys.stdout.write(" ".join(map(str, (requests, failed, mixed, *sorted(seen)))) + "\n")
