"""Visitors of edges, for as long as a test does something that they should not notice."""

from __future__ import annotations

import http.client
import threading
import time
from collections import Counter
from collections.abc import Sequence


class Load:
    """Visitors of all `edges` (`HOST:PORT`), with connections that are kept and ones that are new; what they got is
    counted by status and first word. One in three posts to `slow`, if it is given, and the others ask for `/`.
    """

    def __init__(
        self, edges: Sequence[str], host: str, visitors: int = 9, *, slow: str = "", pause: float = 0.03
    ):
        self.seen: Counter[tuple[int, str]] = Counter()
        self.failed: list[str] = []
        self._edges, self._host, self._slow, self._pause = edges, host, slow, pause
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._visit, args=(number,)) for number in range(visitors)]

    def __enter__(self) -> Load:
        for one in self._threads:
            one.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for one in self._threads:
            one.join()

    def _visit(self, number: int) -> None:
        method, path = ("POST", self._slow) if self._slow and number % 3 == 0 else ("GET", "/")
        while not self._ended.is_set():
            link = http.client.HTTPConnection(self._edges[number % len(self._edges)], timeout=20)
            try:
                for _ in range(1 if number % 2 else 30):
                    link.request(method, path, headers={"Host": self._host})
                    got = link.getresponse()
                    said = got.read().decode()
                    self.seen[got.status, said.split()[0] if said else ""] += 1
                    if got.status != 200:
                        self.failed.append(f"{path} {got.status} {said[:200]}")
                    time.sleep(self._pause)
                    if self._ended.is_set():
                        break
            except (OSError, http.client.HTTPException) as error:
                self.failed.append(f"{path} {error!r}")
            finally:
                link.close()
