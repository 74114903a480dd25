"""A registry of images, by the OCI's distribution specification (github.com/opencontainers/distribution-spec).

Blobs and manifests are asked for, put, mounted from one repository into another, and deleted by digest. A layer is
streamed: never more than a piece of it is in memory. What is read under a digest is checked against it.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import httpx

from gitdeploy.domain import oci
from gitdeploy.domain.oci import Descriptor
from gitdeploy.errors import Failed, GitdeployError, NotFound, NotProven, Refused
from gitdeploy.runtime.swarm.registry_login import Login

_PIECE = 1 << 18  # bytes
_TIMES = httpx.Timeout(60, connect=10, read=300)
"""A registry hashes a layer before it answers to its last byte."""
_SEE = "See [swarm] in server.toml, and whether the registry runs."


@dataclass(frozen=True)
class Found:
    """A manifest as the registry sent it."""

    media_type: str
    body: bytes

    @property
    def digest(self) -> str:
        return oci.digest_of(self.body)

    @property
    def document(self) -> dict[str, Any]:
        return dict(json.loads(self.body))


class Registry:
    """`host` is an address such as `127.0.0.1:5000`; `insecure`: without TLS. May be used by several threads.

    Every method raises Failed when the registry cannot be reached or fails, Refused when it does not let us in.
    """

    def __init__(self, host: str, *, user: str = "", password: str = "", insecure: bool = False) -> None:
        self.host = host
        self._top = f"{'http' if insecure else 'https'}://{host}/v2/"
        self._client = httpx.Client(
            auth=Login(user, password),
            timeout=_TIMES,
            transport=httpx.HTTPTransport(retries=2),
            follow_redirects=True,
            headers={"User-Agent": "gitdeploy"},
        )

    def __enter__(self) -> Registry:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def ping(self) -> None:
        """Raises unless it is there and lets us in."""
        self._ask("GET", self._top, 200)

    def manifest(self, name: str, what: str) -> Found | None:
        """By tag or digest; None when there is none. Raises NotProven for bytes that have another digest."""
        url = f"{self._top}{name}/manifests/{what}"
        answer = self._ask("GET", url, 200, 404, headers={"Accept": ", ".join(oci.ACCEPTED)})
        if answer.status_code == 404:
            return None
        found = Found(answer.headers.get("Content-Type", "").partition(";")[0], answer.content)
        if what.startswith("sha256:") and found.digest != what:
            raise _others(what)
        return found

    def has_manifest(self, name: str, digest: str) -> bool:
        url = f"{self._top}{name}/manifests/{digest}"
        answer = self._ask("HEAD", url, 200, 404, headers={"Accept": ", ".join(oci.ACCEPTED)})
        return answer.status_code == 200

    def put_manifest(self, name: str, what: str, body: bytes, media_type: str) -> httpx.Headers:
        """Under a tag or its own digest; what it names has to be there. Returns the headers of the answer."""
        url = f"{self._top}{name}/manifests/{what}"
        answer = self._ask("PUT", url, 201, content=body, headers={"Content-Type": media_type})
        said = answer.headers.get("Docker-Content-Digest", oci.digest_of(body))
        if said != oci.digest_of(body):
            raise _others(oci.digest_of(body))
        return answer.headers

    def delete_manifest(self, name: str, digest: str) -> None:
        """With its tags; one that is gone already is fine. Bytes are freed by the registry's own collection."""
        self._ask("DELETE", f"{self._top}{name}/manifests/{digest}", 202, 200, 404)

    def referrers(self, name: str, digest: str) -> list[Descriptor] | None:
        """What refers to a manifest, by the registry's own list; None when it keeps none."""
        answer = self._ask("GET", f"{self._top}{name}/referrers/{digest}", 200, 404, 400, 405)
        if answer.status_code != 200:
            return None
        return list(json.loads(answer.content).get("manifests") or ())

    def has_blob(self, name: str, digest: str) -> bool:
        return self._ask("HEAD", f"{self._top}{name}/blobs/{digest}", 200, 404).status_code == 200

    def blob(self, name: str, digest: str) -> bytes:
        """A small one, whole. Raises NotFound, and NotProven for bytes that have another digest."""
        answer = self._ask("GET", f"{self._top}{name}/blobs/{digest}", 200, 404)
        if answer.status_code == 404:
            raise NotFound(f"{self.host}/{name} has no blob {digest[:19]}.", _SEE)
        if oci.digest_of(answer.content) != digest:
            raise _others(digest)
        return answer.content

    def put_blob(self, name: str, content: bytes) -> int:
        """Returns the bytes that were moved: none when it is there."""
        digest = oci.digest_of(content)
        if self.has_blob(name, digest):
            return 0
        self._ask("PUT", self._upload(name, digest), 201, content=content, headers=_sized(len(content)))
        return len(content)

    def put_file(self, name: str, digest: str, size: int, path: Path) -> int:
        """The same for a file of `size` bytes."""
        if self.has_blob(name, digest):
            return 0
        with open(path, "rb") as file:
            pieces = iter(lambda: file.read(_PIECE), b"")
            self._ask("PUT", self._upload(name, digest), 201, content=pieces, headers=_sized(size))
        return size

    def take_over(self, name: str, blob: Descriptor, source: Registry, other: str) -> int:
        """Have the blob of the repository `other` of `source` in `name` too: mounted where it is the same registry,
        else copied, piece by piece. Returns the bytes that were moved.
        """
        digest, size = blob["digest"], int(blob["size"])
        if self.has_blob(name, digest):
            return 0
        place = None
        if source.host == self.host:
            begun = self._ask(
                "POST", f"{self._top}{name}/blobs/uploads/?mount={digest}&from={other}", 201, 202, content=b""
            )
            if begun.status_code == 201:
                return 0
            place = self._place(begun, digest)
        with source.reading(other, digest) as pieces:
            put = place or self._upload(name, digest)
            self._ask("PUT", put, 201, content=pieces, headers=_sized(size))
        return size

    @contextlib.contextmanager
    def reading(self, name: str, digest: str) -> Iterator[Iterator[bytes]]:
        with self._said(), self._client.stream("GET", f"{self._top}{name}/blobs/{digest}") as answer:
            if answer.status_code == 404:
                raise NotFound(f"{self.host}/{name} has no blob {digest[:19]}.", _SEE)
            if answer.status_code != 200:
                answer.read()
                raise self._refusal(answer)
            yield answer.iter_raw(_PIECE)

    def _upload(self, name: str, digest: str) -> str:
        """Where to put a blob."""
        return self._place(self._ask("POST", f"{self._top}{name}/blobs/uploads/", 202, content=b""), digest)

    def _place(self, begun: httpx.Response, digest: str) -> str:
        place = httpx.URL(urljoin(str(begun.url), begun.headers.get("Location", "")))
        return str(place.copy_merge_params({"digest": digest}))

    def _ask(
        self,
        method: str,
        url: str,
        *right: int,
        content: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        with self._said():
            answer = self._client.request(method, url, content=content, headers=headers)
            if answer.status_code not in right:
                raise self._refusal(answer)
            return answer

    @contextlib.contextmanager
    def _said(self) -> Iterator[None]:
        try:
            yield
        except GitdeployError:
            raise
        except (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL) as error:
            said = str(error).strip() or type(error).__name__
            raise Failed(f"The registry {self.host} does not answer: {said[:200]}.", _SEE) from error

    def _refusal(self, answer: httpx.Response) -> GitdeployError:
        try:
            said = str(answer.json()["errors"][0]["message"])
        except (ValueError, LookupError, TypeError):
            said = answer.reason_phrase
        path = answer.request.url.path
        if answer.status_code in (401, 403):
            return Refused(
                f"The registry {self.host} does not let us in: {said[:200]}.",
                "Check user and password of [swarm] in server.toml.",
            )
        return Failed(
            f"The registry {self.host} answers {answer.status_code} to {answer.request.method} {path}: {said[:200]}.",
            _SEE,
        )


def _sized(size: int) -> dict[str, str]:
    return {"Content-Type": "application/octet-stream", "Content-Length": str(size)}


def _others(digest: str) -> NotProven:
    return NotProven(
        f"The registry gives other bytes for {digest[:19]} than those that were pushed.",
        "Look at the registry's storage, then deploy again.",
    )
