"""Builds as images: in a real registry, and run by a real engine."""

from __future__ import annotations

import http.client
import http.server
import json
import shutil
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from image_kit import Sites, file, link, sites
from support import eventually
from swarm_support import Engine, Registry, engine, push_base, push_files_base, push_image, registry

from gitdeploy.domain import oci
from gitdeploy.domain.digest import Digest
from gitdeploy.domain.image import PORT, Image
from gitdeploy.domain.manifest import Manifest
from gitdeploy.domain.oci import Reference
from gitdeploy.domain.role import local_admin
from gitdeploy.domain.statement import PAYLOAD_TYPE
from gitdeploy.errors import Failed, Invalid, NotProven
from gitdeploy.runtime.swarm import provenance
from gitdeploy.service import image, retention
from gitdeploy.service import site as site_verbs
from gitdeploy.service.teller import Teller
from gitdeploy.store.signing import Keys

LOOK = """
import hashlib, json, os
found = {}
for folder, folders, names in os.walk(b'/app'):
    for name in names + [one for one in folders if os.path.islink(os.path.join(folder, one))]:
        path = os.path.join(folder, name)
        mode = os.lstat(path).st_mode & 0o777
        if os.path.islink(path):
            said = ['link', os.fsdecode(os.readlink(path))]
        else:
            said = ['exec' if mode == 0o755 else 'file' if mode == 0o644 else oct(mode),
                    hashlib.sha256(open(path, 'rb').read()).hexdigest()]
        found[os.fsdecode(path[5:])] = said
print(json.dumps(found))
"""
"""What a container finds in its working folder, said by its own Python."""


@pytest.fixture(scope="module")
def reg(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    with registry(tmp_path_factory.mktemp("registry")) as one:
        yield one


@pytest.fixture(scope="module")
def dockerd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with engine(tmp_path_factory.mktemp("engine")) as one:
        yield one


@pytest.fixture
def app(reg: Registry, tmp_path: Path) -> Iterator[Sites]:
    with sites(tmp_path / "home", registry=f"{reg.address}/team", insecure=True, base=push_base(reg)) as one:
        yield one


def layers_of(found: Image) -> list[str]:
    return [one["digest"] for one in json.loads(found.manifest)["layers"]]


def expected(manifest: Manifest) -> dict[str, list[str]]:
    return {
        path.decode("utf-8", "surrogateescape"): ["link", one.target.decode()]
        if one.kind == "link"
        else [one.kind, one.digest]
        for path, one in manifest.items()
    }


def look(dockerd: Engine, reference: str) -> dict[str, list[str]]:
    done = dockerd.docker("run", "--rm", "--network", "none", reference, "python3", "-c", LOOK)
    return json.loads(done.stdout)


def test_an_engine_finds_exactly_the_files_of_each_release(app: Sites, dockerd: Engine) -> None:
    """Through removed files, files that became folders and the reverse, links, modes, and names of any bytes."""
    common = [file(f"lib/{one}.py", f"{one}\n" * 2000) for one in range(20)]
    histories = [
        [*common, file("run", "#!/bin/sh\n", executable=True), link("current", "lib"), file("a", "file"),
         file("b/c/d", "deep"), file("b/e", "e"), file(b"odd \xff\n", "odd"), file("later", "not executable")],
        [*common, file("run", "#!/bin/sh\n", executable=True), link("current", "lib/1.py"), file("a/x/y", "folder"),
         file("b", "file"), file("later", "not executable", executable=True)],
        [*common, file("run", "#!/bin/sh\nexit 1\n"), file("a/x", "file again"), file("b/c/z", "only this"),
         link("later", "run")],
        common[1:],
    ]  # fmt: skip
    pulled = ""
    for number, files in enumerate(histories):
        found = app.push(files)
        artifact = Digest.parse(found.artifact)
        if number in (1, 3):
            pulled = dockerd.docker("pull", found.reference).stdout
        assert look(dockerd, found.reference) == expected(app.ctx.store.load(artifact))
    assert len(app.ctx.ledger.images.where()) == 4
    assert pulled.count("Already exists") >= 2, "what a node has it does not load again"
    config = json.loads(dockerd.docker("image", "inspect", found.reference).stdout)[0]["Config"]
    assert (config["WorkingDir"], config["Labels"][oci.ARTIFACT_LABEL]) == ("/app", found.artifact)
    assert "LANG=C.UTF-8" in config["Env"], "what the base says still holds"


def test_one_changed_file_of_twenty_thousand_moves_less_than_a_hundredth(reg: Registry) -> None:
    with (
        tempfile.TemporaryDirectory(dir="/dev/shm") as home,  # which is quick to write to
        sites(Path(home), registry=f"{reg.address}/large", insecure=True, base=push_base(reg)) as app,
    ):
        _one_file_of_many(app, reg)


def _one_file_of_many(app: Sites, reg: Registry) -> None:
    files = {
        f"posts/{one % 200}/{one}.html": f"<h1>Post {one}</h1>" + f" {one * 7919}" * 100
        for one in range(20_000)
    }
    first = app.push(files)
    site = app.ctx.store.load(Digest.parse(first.artifact)).bytes
    before = reg.blobs()
    whole = sum(one.size for one in first.layers)
    files["posts/7/7.html"] = "<h1>Changed</h1>"

    second = app.push(files)

    after = reg.blobs()
    moved = sum(size for digest, size in after.items() if digest not in before)
    shared = set(layers_of(first)) & set(layers_of(second))
    assert moved < whole / 100, f"{moved} bytes to the registry, where the site's layer has {whole} of {site}"
    assert shared == set(layers_of(first)), "a node has all but one small layer"
    assert sum(one.size for one in second.layers if one.digest not in shared) < 1000
    print(f"\n20,000 files, {site} bytes, packed {whole}: one change moved {moved} bytes")


def test_the_same_files_are_the_same_image_and_are_pushed_once(app: Sites, reg: Registry) -> None:
    files = {"index.html": "one", "css/a.css": "a"}
    build = app.build(files)
    first = app.ensure(build)
    stored = reg.blobs()

    assert app.ensure(build) == first
    assert reg.blobs() == stored
    other = app.push(files)
    assert other.reference == first.reference and other.build != first.build
    back = app.push({"index.html": "two"})
    assert back.reference != first.reference
    image.verify(app.ctx, first)
    image.verify(app.ctx, other)


def test_what_the_registry_has_lost_is_pushed_again(app: Sites, reg: Registry) -> None:
    build = app.build({f"{one}": "x" * 5000 for one in range(50)})
    app.ensure(build)
    last = app.build({f"{one}": "x" * 5000 for one in range(1, 50)})
    found = app.ensure(last)
    name = Reference.parse(found.reference).name
    assert len(found.layers) == 2

    for lost in (found.layers[0].digest, json.loads(found.manifest)["config"]["digest"]):
        assert reg.ask("DELETE", f"/v2/{name}/blobs/{lost}")[0] == 202
        assert app.ensure(last).reference == found.reference
        assert reg.ask("HEAD", f"/v2/{name}/blobs/{lost}")[0] == 200
    shutil.rmtree(reg.folder / "data/docker/registry/v2/repositories/team")
    assert app.ensure(last).reference == found.reference
    assert app.ensure(build).artifact == build.artifact

    # What its first layer was made of is gone from the store as well: the chain begins anew.
    shutil.rmtree(app.ctx.home.store / "artifacts" / str(build.artifact))
    assert reg.ask("DELETE", f"/v2/{name}/blobs/{found.layers[0].digest}")[0] == 202
    assert len(app.ensure(last).layers) == 1


def test_what_is_not_proven_is_not_used(app: Sites, reg: Registry, tmp_path: Path) -> None:
    build = app.build({"index.html": "one"})
    found = app.ensure(build)
    other = app.push({"index.html": "other"})
    keys = app.ctx.store.keys
    envelope = app.ctx.store.envelope(Digest.parse(found.artifact), build.id)
    name = Reference.parse(found.reference).name
    listed = f"/v2/{name}/manifests/{oci.referrers_tag(found.digest)}"
    said = provenance.statement_of(found.digest, found.artifact, build.id, app.site.id, "")

    def carry(envelope: bytes, bound: bytes) -> None:
        """Put these in place of what the image carries."""
        body = oci.attached(oci.descriptor(oci.MANIFEST, found.manifest), [envelope, bound])
        with image.open_registry(app.ctx) as client:
            for one in (oci.NOTHING, envelope, bound):
                client.put_blob(name, one)
            client.put_manifest(name, oci.digest_of(body), body, oci.MANIFEST)
            entry = oci.descriptor(oci.MANIFEST, body, artifactType=oci.PROVENANCE)
            client.put_manifest(name, oci.referrers_tag(found.digest), oci.index([entry]), oci.INDEX)

    def bound(keys: Keys = keys, **other: str) -> bytes:
        return keys.sign(PAYLOAD_TYPE, oci.text({**said.as_json(), **other}))

    stranger = Keys(tmp_path / "stranger")
    right = keys.sign(PAYLOAD_TYPE, oci.text(said.as_json()))
    elsewhere = provenance.statement_of(other.digest, found.artifact, build.id, app.site.id, "")
    swapped = provenance.statement_of(found.digest, other.artifact, build.id, app.site.id, "")
    foreign = provenance.statement_of(found.digest, found.artifact, build.id, "site_other", "")
    for one, two, why in (
        (envelope, stranger.sign(PAYLOAD_TYPE, oci.text(said.as_json())), "No trusted key"),
        (stranger.sign(PAYLOAD_TYPE, keys.open(envelope, PAYLOAD_TYPE)), right, "No trusted key"),
        (app.ctx.store.envelope(Digest.parse(other.artifact), other.build), right, "another artifact"),
        (envelope, keys.sign(PAYLOAD_TYPE, oci.text(elsewhere.as_json())), "another image"),
        (envelope, keys.sign(PAYLOAD_TYPE, oci.text(swapped.as_json())), "another artifact"),
        (envelope, keys.sign(PAYLOAD_TYPE, oci.text(foreign.as_json())), "another site"),
        (envelope, bound(more="x"), "no provenance"),
        (b"{}", right, "cannot be read"),
    ):
        carry(one, two)
        with pytest.raises(NotProven, match=why):
            image.verify(app.ctx, found)
        with pytest.raises(NotProven, match=why):
            app.ensure(build)
    carry(envelope, right)
    image.verify(app.ctx, found)

    reg.damage(oci.digest_of(right), right.replace(b"sig", b"gis"))
    with pytest.raises((NotProven, Failed)):
        image.verify(app.ctx, found)
    reg.damage(oci.digest_of(right), right)
    digest = json.loads(reg.ask("GET", listed, Accept=oci.INDEX)[2])["manifests"][0]["digest"]
    assert reg.ask("DELETE", f"/v2/{name}/manifests/{digest}")[0] == 202
    with pytest.raises(NotProven, match="carries no provenance"):
        image.verify(app.ctx, found)
    assert app.ensure(build).reference == found.reference, (
        "it is signed again, as what it holds was proven here"
    )
    image.verify(app.ctx, found)
    reg.ask("DELETE", f"/v2/{name}/manifests/{found.digest}")
    with pytest.raises(NotProven, match="has no image"):
        image.verify(app.ctx, found)
    image.verify(app.ctx, app.ensure(build))


def test_images_go_when_nobody_may_want_their_artifact_any_more(app: Sites, reg: Registry) -> None:
    shared = {f"{one}": "x" * 3000 for one in range(60)}
    names = [app.push(shared | {"index.html": f"{number}"}) for number in range(retention.KEEP_BUILDS + 3)]
    repository = Reference.parse(names[0].reference).name

    def there(found: Image) -> tuple[int, int]:
        tag = oci.referrers_tag(found.digest)
        return tuple(
            reg.ask("GET", f"/v2/{repository}/manifests/{what}", Accept=", ".join(oci.ACCEPTED))[0]
            for what in (found.digest, tag)
        )

    assert {there(one) for one in names} == {(200, 200)}
    said: list[bytes] = []
    reg.stop()
    retention.collect(app.ctx, Teller(said.append))
    assert b"stays for now" in b"".join(said) and len(app.ctx.ledger.images.where()) == len(names)
    reg.start()

    retention.collect(app.ctx, Teller(said.append))

    assert b"3 images deleted" in b"".join(said)
    assert [there(one) for one in names] == [(404, 404)] * 3 + [(200, 200)] * retention.KEEP_BUILDS
    assert {one.build for one in app.ctx.ledger.images.where()} == {one.build for one in names[3:]}
    assert app.ctx.store.has(names[0].artifact), "the first layer of what is kept is made of it"
    assert not app.ctx.store.has(names[1].artifact)
    for one in names[3:]:
        image.verify(app.ctx, one)

    site_verbs.remove(app.ctx, local_admin("root"), app.site, confirmed=True)
    assert {there(one) for one in names} == {(404, 404)}


class _WithList(http.server.BaseHTTPRequestHandler):
    """Before a real registry, for the one thing that it does not do: it lists what refers to a manifest."""

    protocol_version = "HTTP/1.1"
    real: Registry
    subjects: dict[str, list[dict[str, object]]] = {}

    def _pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        *_, kind, what = self.path.split("/")
        if kind == "referrers":
            found = oci.index(self.subjects.get(what, []))
            self._answer(200, {"Content-Type": oci.INDEX}, found)
            return
        real = http.client.HTTPConnection(self.real.address, timeout=60)
        real.request(self.command, self.path, body, dict(self.headers))
        answer = real.getresponse()
        headers = dict(answer.getheaders())
        if self.command == "PUT" and kind == "manifests" and "subject" in (said := json.loads(body)):
            subject = said["subject"]["digest"]
            entry = oci.descriptor(oci.MANIFEST, body, artifactType=said["artifactType"])
            self.subjects.setdefault(subject, []).append(entry)
            headers["OCI-Subject"] = subject
        self._answer(answer.status, headers, answer.read())
        real.close()

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _pass_on

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def test_a_registry_that_lists_referrers_needs_no_tag(reg: Registry, tmp_path: Path) -> None:
    _WithList.real = reg
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _WithList) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        own = f"127.0.0.1:{server.server_port}"
        base = push_image(reg, "small/base").replace(reg.address, own)
        with sites(tmp_path / "home", registry=f"{own}/listed", insecure=True, base=base) as one:
            found = one.push({"a": "b"})

            image.verify(one.ctx, found)
            path = f"/v2/{Reference.parse(found.reference).name}/manifests"
            assert reg.ask("HEAD", f"{path}/{oci.referrers_tag(found.digest)}")[0] == 404
            carried = str(_WithList.subjects[found.digest][0]["digest"])
            site_verbs.remove(one.ctx, local_admin("root"), one.site, confirmed=True)
            assert reg.ask("GET", f"{path}/{carried}", Accept=oci.MANIFEST)[0] == 404
            assert reg.ask("GET", f"{path}/{found.digest}", Accept=oci.MANIFEST)[0] == 404
        server.shutdown()


@pytest.fixture
def files(reg: Registry, tmp_path: Path) -> Iterator[Sites]:
    home = tmp_path / "home"
    with sites(home, "static", registry=reg.address, insecure=True, files=push_files_base(reg)) as one:
        yield one


def test_an_image_of_a_site_of_files_serves_itself(files: Sites, dockerd: Engine) -> None:
    """By its own command, with its page rules, to every host, and with no server of ours around."""
    found = files.push(
        [file("index.html", "home"), file("about.html", "about"), file("404.html", "nothing here"),
         file("_redirects", "/old /about 301\n"), file("_headers", "/*\n  X-Team: blue\n"),
         link("same.html", "about.html")],
        "[static]\nclean_urls = true\n",
    )  # fmt: skip
    plain = files.push({"index.html": "plain"})
    assert found.kind == plain.kind == "files"
    ask = (
        "import http.client,sys\n"
        "for path in sys.argv[1:]:\n"
        f"    c = http.client.HTTPConnection('127.0.0.1', {PORT}); "
        "c.request('GET', path, headers={'Host': 'any.example.org'}); a = c.getresponse()\n"
        "    print(a.status, a.getheader('X-Team'), a.getheader('Location'), a.read().decode())\n"
    )

    def visit(container: str, *paths: str) -> list[str]:
        return dockerd.docker(
            "exec", container, "python3", "-c", ask, *paths, check=False
        ).stdout.splitlines()

    started = [
        dockerd.docker(
            "run", "-d", "--read-only", "--user", "65534", "--network", "none", one.reference
        ).stdout.strip()
        for one in (found, plain)
    ]
    try:
        eventually(lambda: all(visit(one, "/") for one in started), seconds=60)
        assert visit(started[0], "/", "/about", "/old", "/same", "/missing") == [
            "200 blue None home", "200 blue None about", "301 None /about ", "200 blue None about",
            "404 blue None nothing here",
        ]  # fmt: skip
        assert visit(started[1], "/", "/about")[0] == "200 None None plain"
        dockerd.docker("stop", "-t", "20", started[0])
        state = json.loads(dockerd.docker("inspect", started[0]).stdout)[0]["State"]
        assert state["ExitCode"] == 0, "it ends by itself when it is told to"
    finally:
        dockerd.docker("rm", "-f", *started)


def test_what_is_missing_in_the_settings_is_said(reg: Registry, tmp_path: Path) -> None:
    with sites(tmp_path / "none") as one, pytest.raises(Invalid, match="No image is named"):
        one.push({"a": "b"})
    with sites(tmp_path / "none", base="x") as one, pytest.raises(Invalid, match="No registry is named"):
        one.push({"a": "b"})
    where = {"registry": reg.address, "insecure": True}
    missing = f"{reg.address}/missing:1"
    with sites(tmp_path / "none", base=missing, **where) as one, pytest.raises(Invalid, match="no image"):
        one.push({"a": "b"})
    own = push_image(reg, "own/base")
    with sites(tmp_path / "none", base=missing, **where) as one:
        found = one.push({"a": "b"}, f'[runtime]\nbase = "{own}"\n')
        assert len(json.loads(found.manifest)["layers"]) == 1
        with pytest.raises(Invalid, match=r"\.wh\."):
            one.push({"css/.wh.a": "b"}, f'[runtime]\nbase = "{own}"\n')
