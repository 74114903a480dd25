"""Git's ways in: HTTP in all its forms, a path, and what is refused before it costs anything."""

from __future__ import annotations

import gzip
import http.client
import random
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from scenario_support import Copy, Desk, Running, Shared
from support import Project, eventually

LIST_REFS = b"0014command=ls-refs\n0001" + b"0009peel\n" + b"0000"


@pytest.fixture
def site(desk):
    desk.commit("first", index_html="first")
    pushed = desk.push("main")
    assert pushed.ok, pushed.out
    return desk


@pytest.fixture(scope="module")
def own(request):
    """A server that takes small pushes only, that may be killed, and whose hooks may go: for the last tests."""
    one = Shared(settings='max_push = "1MB"\n')
    request.addfinalizer(one.destroy)
    one.start()
    return one


def noise(size: int) -> bytes:
    """The same incompressible bytes every time."""
    return random.Random(size).randbytes(size)


def by_path(desk: Desk) -> str:
    desk.git("remote", "add", "path", str(desk.repository))
    return "path"


@pytest.mark.parametrize("version", ["0", "1", "2"])
def test_every_protocol_version_clones_fetches_and_pushes(site, tmp_path, version):
    protocol = ("-c", f"protocol.version={version}")
    url = site.git("remote", "get-url", "managed")
    site.git(*protocol, "clone", "-q", "-o", "managed", url, str(tmp_path / "copy"))
    copy = Copy(tmp_path / "copy", site.shared)
    copy.commit("second", index_html="second")
    pushed = copy.run(*protocol, "push", "managed", "main")
    assert pushed.ok, pushed.out
    assert site.page().text == "second"
    site.git(*protocol, "fetch", "managed")
    assert site.git("rev-parse", "managed/main") == copy.git("rev-parse", "HEAD")
    said = site.run(*protocol, "ls-remote", "managed", GIT_TRACE_PACKET="1")
    assert ("version 2" in said.out) == (version == "2")


def test_a_request_may_be_compressed(site):
    secret = site.shared.secret("maya")
    answer = site.shared.fetch(
        site.shared.listen, f"/{site.site}.git/git-upload-pack", method="POST", data=gzip.compress(LIST_REFS),
        Authorization=f"Bearer {secret}",
        **{"Content-Encoding": "gzip", "Git-Protocol": "version=2",
           "Content-Type": "application/x-git-upload-pack-request"},
    )  # fmt: skip
    assert answer.status == 200
    assert b"refs/heads/main" in answer.body


def test_a_client_may_ask_whether_to_go_on_and_send_in_chunks(site, tmp_path):
    (tmp_path / "body").write_bytes(LIST_REFS)
    said = subprocess.run(
        ["curl", "-sSv", "-H", "Expect: 100-continue", "-H", "Transfer-Encoding: chunked",
         "-H", "Git-Protocol: version=2",
         "-H", "Content-Type: application/x-git-upload-pack-request",
         "-H", f"Authorization: Bearer {site.shared.secret('maya')}", "--data-binary", f"@{tmp_path}/body",
         f"http://{site.shared.listen}/{site.site}.git/git-upload-pack"], capture_output=True,
    )  # fmt: skip
    assert b"100 Continue" in said.stderr
    assert b"refs/heads/main" in said.stdout


def test_git_sends_a_large_push_in_chunks(site):
    site.write("noise.bin", noise(300_000))
    site.commit("large", index_html="large")
    pushed = site.run("-c", "http.postBuffer=65536", "push", "managed", "main", GIT_CURL_VERBOSE="1")
    assert pushed.ok, pushed.out
    assert re.search("transfer-encoding: chunked", pushed.out, re.IGNORECASE)
    assert site.page(path="/noise.bin").body == noise(300_000)


def test_a_client_that_goes_away_in_the_middle_changes_nothing(site):
    before = site.state()
    connection = http.client.HTTPConnection(site.shared.listen, timeout=30)
    connection.putrequest("POST", f"/{site.site}.git/git-receive-pack")
    connection.putheader("Authorization", f"Bearer {site.shared.secret('maya')}")
    connection.putheader("Content-Type", "application/x-git-receive-pack-request")
    connection.putheader("Content-Length", "100000")
    connection.endheaders()
    head = site.git("rev-parse", "HEAD")
    line = f"{'0' * 40} {head} refs/heads/torn\0 report-status\n".encode()
    connection.send(b"%04x%s0000PACK\0\0\0\2\0\0\1\0" % (len(line) + 4, line))
    quarantine = (site.repository / "objects").glob
    eventually(lambda: list(quarantine("tmp_objdir-*")))
    connection.close()
    eventually(lambda: not list(quarantine("tmp_objdir-*")), why="what came is still there")
    assert site.state() == before


@pytest.mark.soak
def test_a_push_of_80_megabytes_needs_little_memory(shared, tmp_path):
    """Over HTTP and by path, to one site each; the daemon's peak of memory grows by less than half of the file."""
    large = shared.new_site(tmp_path / "large")
    other = f"{large.site}-path"
    shared.ask("/sites", "POST", {"name": other})
    large.git("config", "core.compression", "0")
    large.git("config", "pack.window", "0")
    large.write("large.bin", noise(80 << 20))
    large.commit("large", index_html="large")
    before = peak(shared.daemon)
    pushed = large.push("main")
    assert pushed.ok, pushed.out
    pushed = large.push("main", remote=str(shared.home / "repos" / f"{other}.git"))
    assert pushed.ok, pushed.out
    grown = peak(shared.daemon) - before
    assert grown < 40 << 20, f"{grown >> 20} MB"
    for site in (large.site, other):
        served = shared.fetch(shared.edge, "/large.bin", method="HEAD", Host=f"{site}.localhost")
        assert int(served.headers["content-length"]) == 80 << 20
        assert shared.get(site).text == "large"
        shared.ask(f"/sites/{site}?confirm=true", "DELETE")


def peak(pid: int) -> int:
    """The most memory a process ever held, in bytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024


def test_a_push_by_path_is_the_same_push(site):
    site.commit("second", index_html="second")
    pushed = site.push("main", "main:draft", remote=by_path(site))
    assert pushed.ok, pushed.out
    assert site.page().text == site.page("draft").text == "second"
    assert site.push("HEAD:rollback/r1", remote="path").ok
    assert site.page().text == "first"
    assert site.live["actor"] == subprocess.check_output(["id", "-un"], text=True).strip()
    site.commit("bad", gitdeploy_toml="[buidl]\n")
    refused = site.push("main", remote="path")
    assert refused.code == 1
    assert "gitdeploy.toml:1" in refused.out


def test_a_session_that_is_none_is_nobody(site):
    site.commit("second", index_html="second")
    refused = site.run("push", str(site.repository), "main", GITDEPLOY_SESSION="made-up")
    assert refused.code == 1
    assert "no open session" in refused.out
    assert site.page().text == "first"


def test_without_the_daemon_nothing_is_accepted_and_the_site_stays(own, tmp_path, hold):
    site, server = own.new_site(tmp_path / "project"), own
    site.commit("first", index_html="first")
    assert site.push("main").ok
    by_path(site)
    refs = site.refs()
    site.commit("slow", gitdeploy_toml=hold.settings(site.site))
    pushing = Running(site.folder, "push", "path", "main")
    hold.arrived(site.site)
    server.kill()
    ended = pushing.end()
    assert ended.code == 1
    assert "it stopped while this push was under way" in ended.out
    assert "nothing was changed" in ended.out
    assert site.refs() == refs

    for ref in ("main", "main:draft", "HEAD:rollback/r1", "HEAD:refs/tags/v1"):
        refused = site.push(ref, remote="path")
        assert refused.code == 1
        assert "gitdeploy does not answer on this server" in refused.out
        assert "Start it with: gitdeploy serve" in refused.out
    assert site.refs() == refs
    refused = site.push("main")
    assert refused.code == 128
    assert "onnection refused" in refused.out or "connect to" in refused.out
    assert site.page().text == "first"

    server.start()
    hold.free(site.site)
    assert site.page().text == "first"
    assert site.push("main", remote="path").ok
    assert site.page().text == f"{site.site}\n"


def test_a_push_that_is_too_large_is_refused(own, tmp_path):
    site = own.new_site(tmp_path / "project")
    site.commit("first", index_html="first")
    assert site.push("main").ok
    before = site.state()
    site.write("noise.bin", noise(2_000_000))
    site.commit("large")
    pushed = site.push("main")
    assert pushed.code == 1
    assert "pack exceeds maximum allowed size" in pushed.out
    assert site.state() == before
    eventually(
        lambda: not list(site.repository.glob("objects/**/tmp_*")), why="what was refused stays on the disk"
    )


@pytest.mark.parametrize("entry", [".git", "..", "a/b"])
def test_objects_that_are_not_sound_are_refused(site, entry):
    before = site.state()
    blob = site.git("hash-object", "-w", "index.html")
    tree = site.folder.with_name("tree")
    tree.write_bytes(b"100644 " + entry.encode() + b"\0" + bytes.fromhex(blob))
    made = site.git("hash-object", "-t", "tree", "--literally", "-w", str(tree))
    commit = site.git("commit-tree", made, "-p", "HEAD", "-m", "bad")
    for ref in ("main", "draft"):
        pushed = site.push(f"{commit}:refs/heads/{ref}")
        assert pushed.code == 1
        assert re.search("hasDotgit|hasDotdot|fullPathname|contains", pushed.out), pushed.out
    assert site.state() == before


def test_a_shallow_clone_of_elsewhere_is_refused_before_any_build(desk, tmp_path):
    upstream = Project(tmp_path / "upstream", desk.shared)
    for number in range(3):
        upstream.commit(f"page {number}", index_html=f"page {number}")
    desk.git("clone", "-q", "--depth", "1", f"file://{upstream.folder}", str(tmp_path / "shallow"))
    shallow = Copy(tmp_path / "shallow", desk.shared)
    for remote in (desk.git("remote", "get-url", "managed"), str(desk.repository)):
        for ref in ("main", "main:draft"):
            refused = shallow.run("push", remote, ref)
            assert refused.code == 1
            assert "shallow clone" in refused.out
            assert "git fetch --unshallow" in refused.out
    assert desk.builds == [] and desk.refs() == {}
    assert not (desk.repository / "shallow").exists()
    shallow.git("fetch", "-q", "--unshallow")
    assert shallow.run("push", remote, "main").ok
    assert desk.page().text == "page 2"


def test_a_shallow_clone_of_the_site_itself_may_push(site, tmp_path):
    site.commit("second", index_html="second")
    assert site.push("main").ok
    copy = site.clone(tmp_path / "shallow", "--depth", "1", "--no-single-branch")
    assert copy.git("rev-parse", "--is-shallow-repository") == "true"
    copy.commit("third", index_html="third")
    pushed = copy.push("main")
    assert pushed.ok, pushed.out
    assert site.page().text == "third"
    assert copy.push("HEAD:rollback/r1").ok
    assert site.page().text == "first"
    assert not (site.repository / "shallow").exists()


def test_an_empty_site_can_be_cloned(shared, tmp_path):
    desk = shared.new_site(tmp_path / "a project")
    cloned = desk.clone(tmp_path / "a copy")
    cloned.git("checkout", "-q", "-B", "main")
    cloned.commit("first", index_html="first")
    assert cloned.push("main").ok
    assert desk.page().text == "first"


def test_without_the_hooks_nothing_is_accepted(own, tmp_path):
    site = own.new_site(tmp_path / "project")
    site.commit("first", index_html="first")
    assert site.push("main").ok
    before = site.state()
    shutil.rmtree(site.shared.home / "hooks")
    site.commit("second", index_html="second")
    for remote in ("managed", by_path(site)):
        for ref in ("main", "main:draft", "HEAD:rollback/r1", "HEAD:refs/tags/v1"):
            pushed = site.push(ref, remote=remote)
            assert pushed.code == 1, pushed.out
            assert "[remote rejected]" in pushed.out
    assert site.state() == before


def test_a_full_disk_refuses_early_and_says_what_to_do(own, tmp_path):
    site = own.new_site(tmp_path / "project")
    own.stop()
    (own.home / "server.toml").write_text("min_free = 100\n")
    own.start()
    site.commit("first", index_html="first")
    for remote in ("managed", by_path(site)):
        refused = site.push("main", remote=remote)
        assert refused.code == 1
        assert "% full, and pushes need 100 % free" in refused.out
        assert "gitdeploy gc" in refused.out
    assert site.builds == [] and site.refs() == {}
