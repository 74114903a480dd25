"""The registry client against a real registry: streams, mounts, copies, deletes, and how it is let in or not."""

from __future__ import annotations

import gzip
import hashlib
import http.server
import json
import os
import threading
import tracemalloc
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import pytest
from swarm_support import Registry as RealRegistry
from swarm_support import push_image, registry

from gitdeploy.domain import oci
from gitdeploy.domain.oci import Reference
from gitdeploy.errors import Failed, Invalid, NotFound, NotProven, Refused
from gitdeploy.runtime.swarm.registry import Registry
from gitdeploy.service.image_push import read_base


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealRegistry]:
    with registry(tmp_path_factory.mktemp("registry")) as one:
        yield one


def client(real: RealRegistry, **more: str) -> Registry:
    return Registry(real.address, insecure=True, **more)


def test_a_large_blob_is_streamed_once_and_mounted_into_another_repository(
    real: RealRegistry, tmp_path: Path
) -> None:
    path = tmp_path / "large"
    path.write_bytes(os.urandom(1 << 20) * 64)
    digest, size = oci.digest_of(path.read_bytes()), path.stat().st_size
    with client(real) as reg:
        tracemalloc.start()
        moved = reg.put_file("team/one", digest, size, path)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()

        assert (moved, real.blobs()[digest]) == (size, size)
        assert most < size / 4, "a layer is never in memory as a whole"
        assert reg.put_file("team/one", digest, size, tmp_path / "is not opened") == 0
        assert not reg.has_blob("team/two", digest)
        assert reg.take_over("team/two", oci.layer(digest, size), reg, "team/one") == 0
        assert reg.has_blob("team/two", digest)


def test_a_blob_of_another_registry_is_copied(real: RealRegistry, tmp_path: Path) -> None:
    content = os.urandom(3_000_000)
    with registry(tmp_path / "other") as elsewhere, client(elsewhere) as source, client(real) as reg:
        source.put_blob("base", content)
        blob = oci.descriptor(oci.LAYER, content)

        assert reg.take_over("copied", blob, source, "base") == len(content)
        assert reg.take_over("copied", blob, source, "base") == 0
        assert reg.blob("copied", blob["digest"]) == content
        with pytest.raises(NotFound, match="no blob"):
            reg.take_over("copied", oci.descriptor(oci.LAYER, b"not there"), source, "base")


def test_manifests_are_checked_against_their_digest_and_deleted_by_it(real: RealRegistry) -> None:
    reference = Reference.parse(push_image(real, "kept/image", gzip.compress(b"\0" * 1024, mtime=0)))
    with client(real) as reg:
        found = reg.manifest(reference.name, "latest")
        assert found is not None and found.digest == reference.what
        assert reg.has_manifest(reference.name, reference.what)
        assert reg.manifest(reference.name, "another") is None
        assert reg.manifest("no/such/repository", "latest") is None
        assert reg.referrers(reference.name, reference.what) is None, "this registry keeps no such list"

        good = (real.folder / "data/docker/registry/v2/blobs/sha256").glob(f"*/{reference.what[7:]}/data")
        content = next(good).read_bytes()
        real.damage(reference.what, content.replace(b"schemaVersion", b"schemaversion"))
        with pytest.raises((NotProven, Failed)):
            reg.manifest(reference.name, reference.what)
        real.damage(reference.what, content)

        reg.delete_manifest(reference.name, reference.what)
        reg.delete_manifest(reference.name, reference.what)
        assert reg.manifest(reference.name, "latest") is None


def test_the_base_is_the_one_for_this_machine(real: RealRegistry) -> None:
    layer = gzip.compress(b"\0" * 1024, mtime=0)
    mine = push_image(real, "many", layer, tag="mine")
    index = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.docker.distribution.manifest.list.v2+json",
        "manifests": [
            {"mediaType": "application/vnd.docker.distribution.manifest.v2+json", "size": 1, "digest": digest,
             "platform": {"os": "linux", "architecture": architecture}}
            for digest, architecture in ((mine.partition("@")[2], _architecture(real, mine)),)
        ],
    }  # fmt: skip
    body = json.dumps(index).encode()
    assert real.ask("PUT", "/v2/many/manifests/all", body, content_type=index["mediaType"])[0] == 201
    with client(real) as reg:
        base, digest = read_base(reg, Reference.parse(f"{real.address}/many:all"))
        assert digest == mine.partition("@")[2]
        assert [one["digest"] for one in base.layers] == [oci.digest_of(layer)]
        with pytest.raises(Invalid, match="There is no image"):
            read_base(reg, Reference.parse(f"{real.address}/none:1"))
    index["manifests"][0]["platform"]["architecture"] = "s390x"
    with pytest.raises(Invalid, match="linux/"):
        oci.for_platform(index, "amd64")


def _architecture(real: RealRegistry, reference: str) -> str:
    with client(real) as reg:
        found = reg.manifest("many", reference.partition("@")[2])
        assert found is not None
        return str(json.loads(reg.blob("many", found.document["config"]["digest"]))["architecture"])


def test_a_password_is_asked_for_and_a_wrong_one_is_said_so(tmp_path: Path) -> None:
    with registry(tmp_path / "closed", user="deploy", password="s3cret ü") as real:
        with client(real) as reg, pytest.raises(Refused, match="does not let us in"):
            reg.ping()
        with client(real, user="deploy", password="wrong") as reg, pytest.raises(Refused, match="let us in"):
            reg.put_blob("a", b"{}")
        path = tmp_path / "layer"
        path.write_bytes(b"layer")
        with client(real, user="deploy", password="s3cret ü") as reg:
            reg.ping()
            assert reg.put_blob("a", b"{}") == 2
            assert reg.put_file("a", oci.digest_of(b"layer"), 5, path) == 5
            assert reg.blob("a", oci.digest_of(b"layer")) == b"layer"


def test_a_registry_that_is_away_is_said_so_soon(tmp_path: Path) -> None:
    with registry(tmp_path / "gone") as real:
        address = real.address
    with Registry(address, insecure=True) as reg, pytest.raises(Failed, match=f"{address} does not answer"):
        reg.ping()


class _WithTokens(http.server.BaseHTTPRequestHandler):
    """A registry in front of which a token is wanted, for each repository its own, that is good for one minute."""

    asked: list[str] = []

    def do_GET(self) -> None:
        if self.path.startswith("/token"):
            said = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
            self.asked.append(f"{said['scope'][0]} {self.headers.get('Authorization', '')}")
            return self._answer(200, json.dumps({"token": said["scope"][0], "expires_in": 60}).encode())
        name = self.path.split("/")[2]
        scope = f"repository:{name}:{'pull' if self.command == 'GET' else 'pull,push'}"
        if self.headers.get("Authorization") != f"Bearer {scope}":
            realm = f"http://{self.headers['Host']}/token"
            challenge = f'Bearer realm="{realm}",service="reg",scope="{scope}"'
            return self._answer(401, b"{}", ("WWW-Authenticate", challenge))
        return self._answer(200, b"{}")

    def _answer(self, status: int, body: bytes, *more: tuple[str, str]) -> None:
        self.send_response(status)
        for name, value in (*more, ("Content-Length", str(len(body)))):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def test_a_registry_with_tokens_is_asked_for_one_a_repository_and_no_more() -> None:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _WithTokens) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with Registry(f"127.0.0.1:{server.server_port}", user="me", password="pw", insecure=True) as reg:
            for _ in range(3):
                assert reg.manifest("one", "latest") is not None
            assert reg.manifest("two", "latest") is not None
        server.shutdown()
    basic = "Basic bWU6cHc="
    assert _WithTokens.asked == [f"repository:one:pull {basic}", f"repository:two:pull {basic}"]


def test_names_of_images_are_read_as_docker_reads_them() -> None:
    digest = "sha256:" + hashlib.sha256(b"").hexdigest()
    for text, host, name, what in (
        ("python:3.12-slim", "registry-1.docker.io", "library/python", "3.12-slim"),
        ("team/app", "registry-1.docker.io", "team/app", "latest"),
        ("127.0.0.1:5000/base", "127.0.0.1:5000", "base", "latest"),
        ("localhost/base:1", "localhost", "base", "1"),
        ("reg:5000/a/b_c/d-e:1@" + digest, "reg:5000", "a/b_c/d-e", digest),
        ("example.org/a@" + digest, "example.org", "a", digest),
    ):
        assert Reference.parse(text) == Reference(host, name, what), text
    for wrong in ("", "UPPER", "a b", "a:", "a@sha256:1", "-a", "a//b", "http://a.b/c", "a/../b"):
        with pytest.raises(Invalid):
            Reference.parse(wrong)
