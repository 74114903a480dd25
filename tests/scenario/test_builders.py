"""Builds on another machine: an sshd here, behind which gitdeploy has a home of its own."""

from __future__ import annotations

import contextlib
import getpass
import os
import re
import shutil
import signal
import tempfile
import time
from pathlib import Path

import pytest
from scenario_support import Shared, of_its_own, processes_with
from ssh_door import SshDoor
from support import GITDEPLOY, eventually

from gitdeploy.domain.digest import Digest
from gitdeploy.store.artifacts import Store
from gitdeploy.store.home import Home

shared = of_its_own

LOCAL = "gitdeploy/builder/v1/bubblewrap"
SITE = """[build]
command = '''%s && mkdir -p out/deep && cp -P page link run out/ && echo "it is $TOKEN"'''
output = "out"
env = ["TOKEN"]
"""


class Machine:
    """A builder: what its authorized_keys lets in has a home that is not the server's."""

    def __init__(self, folder: Path) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="gb-", dir="/tmp"))
        self.known = folder / "authorized_keys"
        self.known.touch()
        self.door = SshDoor(folder / "door", self.known)
        self.address = f"ssh://{getpass.getuser()}@127.0.0.1:{self.door.port}"

    def let_in(self, line: str, command: str = "") -> None:
        command = command or f"{' '.join(GITDEPLOY)} --home {self.home} build-for"
        self.known.write_text(line.replace('command="gitdeploy build-for"', f'command="{command}"') + "\n")

    def cut(self) -> None:
        """The machine is gone in the middle of what it does."""
        logins = [pid for pid in processes_with("sshd") if self.door.pid in above(pid)[1:]]
        self.door.close()
        for pid in logins:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def destroy(self) -> None:
        self.cut()
        shutil.rmtree(self.home, ignore_errors=True)


def above(pid: int) -> list[int]:
    """A process and those that it comes from."""
    found = []
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        while pid > 1:
            found.append(pid)
            pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return found


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.fixture(scope="module")
def machine(tmp_path_factory, request):
    one = Machine(tmp_path_factory.mktemp("builder"))
    request.addfinalizer(one.destroy)
    return one


def add(shared: Shared, machine: Machine) -> None:
    """The one command; what it says is missing is done in between."""
    refused = shared.cli("builder", "add", "atlas", machine.address, check=False)
    if not machine.known.read_text():
        assert refused.returncode == 1 and "Permission denied" in refused.stderr, refused.stderr
        line = re.search(r"restrict,command=.*", refused.stderr)[0]
        machine.let_in(line, "/bin/no-such-program")
        refused = shared.cli("builder", "add", "atlas", machine.address, check=False)
        assert refused.returncode == 1 and "gitdeploy is not installed there" in refused.stderr
        machine.let_in(line)
        done = shared.cli("builder", "add", "atlas", machine.address, "--places", "3")
        assert "atlas builds from now on, 3 at once" in done.stderr


def built_by(shared: Shared, build: dict) -> str:
    return Store(Home(shared.home)).stated(Digest.parse(build["artifact"]), build["id"]).builder


def below(machine: Machine, words: str) -> list[int]:
    """The processes of a build that waits; all of them come from the builder's sshd."""
    found = processes_with(words.rpartition(" ")[2])
    assert found and all(machine.door.pid in above(pid) for pid in found), found
    return found


def commit(desk, command: str) -> None:
    desk.write("page", "the page\n" * 1000)
    desk.write("run", "#!/bin/sh\n")
    (desk.folder / "run").chmod(0o755)
    if not (desk.folder / "link").is_symlink():
        (desk.folder / "link").symlink_to("page")
    desk.commit(command, gitdeploy_toml=SITE % command)


def test_a_push_is_built_on_a_builder_and_on_the_server_when_that_is_gone(
    shared, desk, machine, hold, tmp_path
):
    secret = "s3cret-of-the-site"
    other = shared.new_site(tmp_path / "other")
    for one in (desk, other):
        change = {"env": "build", "set": {"TOKEN": {"value": secret, "secret": True}}}
        shared.ask(f"/sites/{one.site}/config", "PATCH", change)
        commit(one, hold.command("first"))
    hold.free("first")
    assert other.push("main").ok
    here = other.builds[0]
    assert built_by(shared, here) == LOCAL

    add(shared, machine)
    refused = shared.cli("builder", "add", "atlas", machine.address, check=False)
    assert refused.returncode == 4 and "There is a builder atlas already" in refused.stderr
    pushed = desk.push("main")
    assert pushed.ok and "on the builder atlas" in pushed.out, pushed.out
    assert "it is [redacted]" in pushed.out and secret not in pushed.out, pushed.out
    there = desk.builds[0]
    assert there["artifact"] == here["artifact"] and (here["builder"], there["builder"]) == (None, "atlas")
    assert built_by(shared, there) == f"{LOCAL}@atlas"
    assert desk.page(path="/link").text.startswith("the page")

    commit(desk, hold.command("second"))
    pushing = desk.start("push", "managed", "main")
    hold.arrived("second")
    building = below(machine, hold.command("second"))
    assert not processes_with(secret)
    assert shared.ask("/builders")[0]["running"] == 1
    machine.cut()
    pushing.says("the builder atlas: It went away")
    eventually(lambda: not any(map(alive, building)), why="the build lives on without its builder")
    hold.free("second")
    ended = pushing.end()
    assert ended.ok and "building on the server itself" in ended.out, ended.out
    assert built_by(shared, desk.builds[0]) == LOCAL
    assert secret not in (shared.home / "logs/builds" / f"{desk.builds[0]['id']}.log").read_text()

    found = shared.cli("doctor", check=False)
    assert found.returncode == 1 and "The builder atlas: It cannot be reached" in found.stdout, found.stdout
    machine.door.open()
    assert "the builder answers" in shared.cli("doctor", check=False).stdout


def test_what_is_cancelled_ends_on_the_builder_and_what_fails_there_is_not_tried_again(
    shared, desk, machine, hold
):
    add(shared, machine)
    desk.commit("waits", gitdeploy_toml=hold.settings("slow"))
    pushing = desk.start("push", "managed", "main")
    hold.arrived("slow")
    building = below(machine, hold.command("slow"))
    assert desk.push(f"HEAD:cancel/{desk.builds[0]['id']}").ok
    assert not any(map(alive, building))
    assert not pushing.end().ok

    for line, said in (
        ("echo no such luck; exit 3", "ended with exit code 3"),
        ("mkdir out; mkfifo out/a", "neither a file, a folder nor a link"),
    ):
        desk.commit("fails", gitdeploy_toml=f'[build]\ncommand = "{line}"\noutput = "out"\n')
        refused = desk.push("main")
        assert not refused.ok and said in refused.out, refused.out
        assert refused.out.count("on the builder atlas") == 1 and "elsewhere" not in refused.out
    assert not list((machine.home / "builder/places").iterdir())

    maintainer = shared.secret("vera", "maintainer")
    assert shared.api("/v1/builders/atlas", maintainer, "DELETE").status == 403
    shared.cli("builder", "remove", "atlas")
    assert shared.cli("builder", "remove", "atlas", check=False).returncode == 3
    desk.commit("here", gitdeploy_toml='[build]\ncommand = "mkdir out; echo x > out/a"\noutput = "out"\n')
    pushed = desk.push("main")
    assert pushed.ok and "builder" not in pushed.out, pushed.out


def test_of_builds_at_once_those_that_lose_their_builder_are_made_on_another(
    shared, desk, machine, hold, tmp_path, request
):
    (tmp_path / "bolt").mkdir()
    bolt = Machine(tmp_path / "bolt")
    request.addfinalizer(bolt.destroy)
    line = f'restrict,command="gitdeploy build-for" {(shared.home / "keys/builders.pub").read_text().strip()}'
    bolt.let_in(line, f"ulimit -f 64; {' '.join(GITDEPLOY)} --home {bolt.home} build-for")
    shared.cli("builder", "add", "bolt", bolt.address, "--places", "1")
    desk.write("large", "x" * 1_000_000)
    desk.commit("one", gitdeploy_toml=hold.settings("none"))
    hold.free("none")
    pushed = desk.push("main")  # as where the disk is full: no fault of the build
    assert pushed.ok and "the builder bolt: It cannot take the tree: Cannot write large" in pushed.out, (
        pushed.out
    )
    assert "on the server itself" in pushed.out and desk.builds[0]["builder"] is None

    shared.cli("builder", "remove", "bolt")
    bolt.let_in(line)
    shared.cli("builder", "add", "bolt", bolt.address, "--places", "1")
    add(shared, machine)
    cache = bolt.home / "builder/cache"
    for days, name in ((31, "old"), (29, "young")):
        (cache / name / "kept").mkdir(parents=True)
        os.utime(cache / name, (time.time() - days * 86400,) * 2)
    desks = [desk, *(shared.new_site(tmp_path / name) for name in ("two", "three"))]
    pushing = []
    for number, one in enumerate(desks):
        one.commit("waits", gitdeploy_toml=hold.settings(f"at-once-{number}", f"page {number}"))
        pushing.append(one.start("push", "managed", "main"))
        hold.arrived(f"at-once-{number}")

    def running() -> dict[str, int]:
        return {one["name"]: one["running"] for one in shared.ask("/builders")}

    assert running() == {"atlas": 2, "bolt": 1}
    machine.cut()
    eventually(lambda: running() == {"atlas": 0, "bolt": 1}, why=str(running()))
    for number, _ in enumerate(desks):
        hold.free(f"at-once-{number}")
    for number, (one, push) in enumerate(zip(desks, pushing, strict=True)):
        ended = push.end()
        assert ended.ok and "on the builder bolt" in ended.out and "server itself" not in ended.out, ended.out
        assert one.page().text == f"page {number}\n" and one.builds[0]["builder"] == "bolt"
    assert "\nbuilder      bolt\n" in shared.cli("build", "show", desk.builds[0]["id"]).stdout
    assert " s on bolt " in shared.cli("builds", desk.site).stdout
    assert (cache / "young/kept").exists() and not (cache / "old").exists()
    assert not [one for one in cache.iterdir() if one.name.startswith(".")]
    machine.door.open()
