"""How a registry lets us in: by password, or by tokens that it sends us to fetch (distribution.github.io/distribution,
"Token authentication"), one for each repository and kind of access.
"""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Generator

import httpx

_SPARE = 10.0  # seconds before its end in which a token is used no more


class Login(httpx.Auth):
    """Only the registry itself, and the address that it names for tokens, is told the password."""

    def __init__(self, user: str, password: str) -> None:
        self._basic = ""
        if user:
            self._basic = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
        self._known: dict[tuple[str, bool], tuple[str, float]] = {}

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        key = _access(request)
        said, end = self._known.get(key, ("", 0.0))
        if said and time.monotonic() < end:
            request.headers["Authorization"] = said
        answer = yield request
        if answer.status_code != 401:
            return
        challenge = answer.headers.get("WWW-Authenticate", "")
        kind, _, rest = challenge.partition(" ")
        if kind.lower() == "basic" and self._basic and said != self._basic:
            self._known[key] = (self._basic, float("inf"))
        elif kind.lower() == "bearer":
            fetched = yield self._fetch(dict(re.findall(r'(\w+)="([^"]*)"', rest)), request)
            if fetched.status_code != 200:
                return
            fetched.read()
            found = fetched.json()
            lasts = float(found.get("expires_in") or 60) - _SPARE
            token = found.get("token") or found.get("access_token") or ""
            self._known[key] = (f"Bearer {token}", time.monotonic() + lasts)
        else:
            return
        request.headers["Authorization"] = self._known[key][0]
        yield request

    def _fetch(self, said: dict[str, str], asked_for: httpx.Request) -> httpx.Request:
        asked: dict[str, str] = {name: said[name] for name in ("service", "scope") if name in said}
        url = httpx.URL(said.get("realm", "")).copy_merge_params(asked)
        headers = {"Authorization": self._basic} if self._basic else {}
        return httpx.Request("GET", url, headers=headers, extensions=asked_for.extensions)


def _access(request: httpx.Request) -> tuple[str, bool]:
    """The repository, and whether it is written to."""
    name = re.sub(r"^/v2/|/(manifests|blobs|referrers|tags)/.*$", "", request.url.path)
    return name, request.method not in ("GET", "HEAD")
