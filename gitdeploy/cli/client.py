"""Talks to the daemon: over the home's unix socket, or to another machine with a token."""

from __future__ import annotations

import http.client
import json
import os
import re
import socket
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from gitdeploy.errors import BY_CODE, Failed, GitdeployError, Invalid, Refused

LINES = "application/x-ndjson"
_PAGE = 500


class Client:
    """`home` when the daemon is on this machine; `url` and `token` when it is elsewhere. `session` is set by
    the SSH door, which asks in somebody's name.
    """

    def __init__(self, home: Path, url: str = "", token: str = "", session: str = "") -> None:
        self._home = home
        self._url = urllib.parse.urlsplit(url)
        self._token = token
        self._session = session
        if url and self._url.scheme not in ("http", "https"):
            raise Invalid(f"{url!r} is not an address.", "Say --url http://host:8470")

    def get(self, path: str, **query: object) -> Any:
        return self.ask("GET", path, query=query)

    def every(self, path: str, *, most: int = 0, **query: object) -> list[Any]:
        """A list to its end, or `most` of it, page by page."""
        found: list[Any] = []
        target = self._target(path, {**query, "limit": min(most or _PAGE, _PAGE)})
        while target:
            with self._open("GET", target, None, "application/json") as answer:
                found += _read(answer)
                following = re.match(r'<(.+)>; rel="next"', answer.getheader("Link", ""))
            target = following[1] if following and (not most or len(found) < most) else ""
        return found[:most] if most else found

    def ask(
        self, method: str, path: str, body: object = None, *, query: dict[str, object] | None = None
    ) -> Any:
        """The answer's JSON; raises the error it carries, by its own class."""
        with self._open(method, self._target(path, query), body, "application/json") as answer:
            return _read(answer)

    def follow(
        self,
        path: str,
        body: object,
        said: Callable[[str], None],
        *,
        query: dict[str, object] | None = None,
        method: str = "POST",
    ) -> Any:
        """Ask for something that takes a while, and hear what is said while it happens; returns the result."""
        with self._open(method, self._target(path, query), body, LINES) as answer:
            if answer.status >= 400:
                return _read(answer)
            for line in answer:
                told = json.loads(line)
                if "said" in told:
                    said(told["said"])
                elif "error" in told:
                    raise error_of(told["error"])
                else:
                    return told["result"]
        raise Failed("The server ended the conversation early.", "See what is live: gitdeploy live SITE")

    def chunks(self, path: str, **query: object) -> Iterator[bytes]:
        """A plain-text answer as it comes."""
        with self._open("GET", self._target(path, query), None, "text/plain") as answer:
            if answer.status >= 400:
                _read(answer)
            while chunk := answer.read1(65536):
                yield chunk

    def console(self, asked: dict[str, str], terminal: int) -> socket.socket:
        """Hand an open terminal to the daemon, with what is to be opened on it; what is answered on the connection
        comes when that has ended. Descriptors cannot be sent to another machine.
        """
        if self._url.netloc:
            raise Invalid(
                "A console is opened on the machine itself.", "Without --url; or use gitdeploy run."
            )
        said = json.dumps({**asked, "session": self._session}).encode()
        try:
            door = _connected(self._home / "run", "console.sock")
            socket.send_fds(door, [len(said).to_bytes(4, "big")], [terminal])
            door.sendall(said)
        except OSError as error:
            raise self._unreachable(error) from error
        return door

    def _target(self, path: str, query: dict[str, object] | None) -> str:
        said = {name: str(value) for name, value in (query or {}).items() if value not in ("", None, False)}
        return "/v1" + urllib.parse.quote(path) + ("?" + urllib.parse.urlencode(said) if said else "")

    def _open(self, method: str, target: str, body: object, accept: str) -> http.client.HTTPResponse:
        headers = {"Accept": accept, "Host": self._url.netloc or "localhost"}
        if self._session:
            headers["Authorization"] = f"Session {self._session}"
        elif self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        data = json.dumps(body).encode() if body is not None else None
        if data is not None:
            headers["Content-Type"] = "application/json"
        connection = self._connection()
        try:
            connection.request(method, target, data, headers)
            return connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            raise self._unreachable(error) from error

    def _connection(self) -> http.client.HTTPConnection:
        if self._url.scheme == "https":
            return http.client.HTTPSConnection(self._url.netloc)
        if self._url.scheme == "http":
            return http.client.HTTPConnection(self._url.netloc)
        return _Unix(self._home / "run")

    def _unreachable(self, error: Exception) -> GitdeployError:
        if self._url.netloc:
            return Failed(f"{self._url.netloc} does not answer: {error}.", "Check --url, or GITDEPLOY_URL.")
        if isinstance(error, PermissionError):
            return Refused(
                f"You may not reach the daemon of {self._home}.",
                "Run as its user, or use --url with a token.",
            )
        return Failed(
            f"No gitdeploy is running for {self._home}.", "Start it: gitdeploy serve, or name another --home."
        )


class _Unix(http.client.HTTPConnection):
    def __init__(self, folder: Path) -> None:
        super().__init__("localhost")
        self._folder = folder

    def connect(self) -> None:
        self.sock = _connected(self._folder, "api.sock")


def _connected(folder: Path, name: str) -> socket.socket:
    door = socket.socket(socket.AF_UNIX)
    before = os.open(".", os.O_RDONLY)
    try:
        os.chdir(folder)  # a socket's path holds 107 bytes at most
        door.connect(name)
    except OSError:
        door.close()
        raise
    finally:
        os.fchdir(before)
        os.close(before)
    return door


def _read(answer: http.client.HTTPResponse) -> Any:
    text = answer.read()
    try:
        document = json.loads(text)
    except ValueError:
        raise Failed(f"The server answered {answer.status} with something that is not JSON.") from None
    if answer.status >= 400:
        raise error_of(document.get("error", {}))
    return document


def error_of(said: dict[str, str]) -> GitdeployError:
    kind = Refused if said.get("code") == "unauthorized" else BY_CODE.get(said.get("code", ""), Failed)
    return kind(said.get("message", "The server refused."), said.get("hint", ""))
