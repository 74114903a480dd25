"""Git and commands over SSH: each key is somebody, and may do one thing."""

from __future__ import annotations

import getpass
import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest
from scenario_support import of_its_own, processes_with
from ssh_door import SshDoor
from support import GITDEPLOY

from gitdeploy.domain.role import Actor
from gitdeploy.web.sessions import Sessions

shared = of_its_own


class Door(SshDoor):
    """One that knows the server's keys, and the keys of two people."""

    def __init__(self, folder: Path, home: Path) -> None:
        super().__init__(folder, home / "keys/authorized_keys")
        for name in ("maya", "vera", "stranger"):
            self.key(name)

    def command(self, who: str) -> str:
        options = (
            f"-F none -o BatchMode=yes -o IdentitiesOnly=yes -o StrictHostKeyChecking=no -o LogLevel=ERROR \
-o UserKnownHostsFile=/dev/null -p {self.port} -i {self.folder}/{who}"
        )
        return f"ssh {options}"

    def run(self, who: str, *words: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [*shlex.split(self.command(who)), f"{getpass.getuser()}@127.0.0.1", *words],
            input=stdin, capture_output=True, timeout=60,
        )  # fmt: skip


@pytest.fixture(scope="module")
def door(shared, tmp_path_factory, request):
    one = Door(tmp_path_factory.mktemp("ssh") / "door", shared.home)
    request.addfinalizer(one.close)
    for who in ("maya", "vera"):
        shared.cli("key", "add", who, str(one.folder / f"{who}.pub"))
    return one


@pytest.fixture
def site(desk, door):
    desk.shared.secret("vera", "viewer", desk.site)
    desk.git("remote", "add", "ssh", f"ssh://{getpass.getuser()}@127.0.0.1/{desk.site}.git")
    desk.commit("first", index_html="first")
    pushed = desk.run("push", "ssh", "main", GIT_SSH_COMMAND=door.command("maya"))
    assert pushed.ok, pushed.out
    return desk


def test_a_push_over_ssh_is_by_the_owner_of_the_key(site, door, tmp_path):
    assert site.page().text == "first"
    assert site.live["actor"] == "maya"
    as_maya, as_vera = ({"GIT_SSH_COMMAND": door.command(who)} for who in ("maya", "vera"))
    site.commit("second", index_html="second")
    refused = site.run("push", "ssh", "main", **as_vera)
    assert refused.code == 128
    assert "vera is viewer of" in refused.out
    assert site.run("push", "ssh", "main", **as_maya).ok
    assert site.run("push", "-o", "reason=over ssh", "ssh", "HEAD:rollback/r1", **as_maya).ok
    assert site.live["reason"] == "over ssh"
    url = site.git("remote", "get-url", "ssh")
    assert site.run("clone", "-q", url, str(tmp_path / "clone"), **as_vera).ok
    traced = site.run("ls-remote", "ssh", GIT_TRACE_PACKET="1", **as_vera)
    assert "version 2" in traced.out


def test_a_stranger_and_a_removed_key_get_nothing(site, door):
    assert not site.run("ls-remote", "ssh", GIT_SSH_COMMAND=door.command("stranger")).ok
    made = site.shared.ask(
        "/keys", "POST", {"actor": "vera", "key": (door.folder / "stranger.pub").read_text()}
    )
    assert site.run("ls-remote", "ssh", GIT_SSH_COMMAND=door.command("stranger")).ok
    site.shared.ask(f"/keys/{made['id']}", "DELETE")
    assert not site.run("ls-remote", "ssh", GIT_SSH_COMMAND=door.command("stranger")).ok


def test_a_site_one_may_not_see_does_not_exist(site, door, shared, tmp_path):
    other = shared.new_site(tmp_path / "other")
    url = f"ssh://{getpass.getuser()}@127.0.0.1/NAME.git"
    said = []
    for name in (other.site, "nowhere"):
        refused = site.run("ls-remote", url.replace("NAME", name), GIT_SSH_COMMAND=door.command("vera"))
        assert refused.code == 128
        said.append(refused.out.replace(name, "NAME"))
    assert said[0] == said[1]
    assert "There is no site 'NAME'" in said[0]


@pytest.mark.parametrize(
    "words",
    [(), ("sh",), ("sh", "-c", "id"), ("git", "upload-pack", "/etc"), ("scp", "-t", "x"), ("git-upload-archive", "x"),
     ("serve",), ("init", "/tmp/x"), ("git-upload-pack",), ("git-upload-pack", "a", "b"), ("'unbalanced",)],
)  # fmt: skip
def test_there_is_no_shell(door, shared, words):
    done = door.run("maya", *words)
    assert done.returncode not in (0, 255)
    assert b"uid=" not in done.stdout
    assert b"it has no shell" in done.stderr
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize(
    "path", ["../../ledger.db", "/etc/passwd", "-x", "a..b", "x\ny", "$(id)", "'; id; '"]
)
def test_a_path_is_a_sites_name_or_nothing(door, shared, path):
    done = door.run("maya", f"git-upload-pack {shlex.quote(path)}")
    assert done.returncode not in (0, 255)
    assert b"uid=" not in done.stdout + done.stderr
    assert b"Traceback" not in done.stderr
    assert b"Use 1 to 30 of a-z" in done.stderr


def test_commands_are_asked_in_the_owners_name(site, door):
    done = door.run("vera", "releases", site.site)
    assert done.returncode == 0, done.stderr
    assert b"r1" in done.stdout and b"first" in done.stdout
    done = door.run("vera", "live", site.site, "--json")
    assert b'"release": "r1"' in done.stdout
    refused = door.run("vera", "rollback", site.site, "r1", "--yes")
    assert refused.returncode == 5
    assert b"vera is viewer of" in refused.stderr
    refused = door.run("vera", "token", "list")
    assert refused.returncode == 5
    done = door.run("maya", "redeploy", site.site, "r1", "--yes")
    assert done.returncode == 0, done.stderr
    assert site.live["actor"] == "maya"
    missing = door.run("vera", "releases", "nowhere")
    assert missing.returncode == 3


def test_a_session_ends_with_the_door_that_opened_it(site, door, shared):
    """Killed, it can close nothing any more. What it started may live on, in nobody's name."""
    key = next(one["id"] for one in shared.ask("/keys") if one["actor"] == "maya")
    words = [*GITDEPLOY, "--home", str(shared.home), "ssh", key]
    asking = {**os.environ, "SSH_ORIGINAL_COMMAND": f"git-receive-pack '{site.site}'"}
    with subprocess.Popen(words, env=asking, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as running:
        assert running.stdout.read(4).isalnum()  # git speaks, so it was started
        git = next(one for one in processes_with(site.site) if parent(one) == running.pid)
        given = Path(f"/proc/{git}/environ").read_text()
        session = re.search(r"GITDEPLOY_SESSION=([^\0]+)", given)[1]
        ask = [*GITDEPLOY, "--home", str(shared.home), "live", site.site]
        asking = {**os.environ, "GITDEPLOY_SESSION": session}
        assert subprocess.run(ask, env=asking, capture_output=True).returncode == 0
        running.kill()
        running.wait()
        refused = subprocess.run(ask, env=asking, capture_output=True)
        assert refused.returncode == 5 and b"no open session" in refused.stderr


def test_the_session_of_a_process_that_ended_is_forgotten():
    sessions = Sessions()
    sleeper = subprocess.Popen(["sleep", "99"])
    sessions.open(Actor("maya"), owner=sleeper.pid)
    kept = sessions.open(Actor("vera"), owner=os.getpid())
    sleeper.kill()
    sleeper.wait()
    newest = sessions.open(Actor("ana"))
    assert set(sessions._open) == {kept, newest}


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def test_an_option_is_no_way_around_the_key(site, door):
    """Whoever the words name, it is the key that counts; and no file of the server can be read by naming it."""
    for words in (
        (" --home /tmp releases", site.site),
        ("releases", site.site, "--home", "/"),
        (" --url http://x site list",),
        ("key", "add", "vera", "/etc/hostname"),
    ):
        done = door.run("vera", *words)
        assert done.returncode not in (0, 255), words
        assert Path("/etc/hostname").read_text().strip().encode() not in done.stdout + done.stderr


def test_no_forwarding_no_terminal(door):
    login = [*shlex.split(door.command("maya")), f"{getpass.getuser()}@127.0.0.1"]
    forward = ["-N", "-o", "ExitOnForwardFailure=yes", "-R", "0:127.0.0.1:1"]
    done = subprocess.run([login[0], *forward, *login[1:]], capture_output=True, timeout=30)
    assert done.returncode == 255
    assert b"forwarding failed" in done.stderr
    done = subprocess.run([login[0], "-tt", *login[1:]], capture_output=True, timeout=30)
    assert b"PTY allocation request failed" in done.stderr
