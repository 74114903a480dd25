"""A second machine follows the first, takes its place, and two never act."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import buckets
import pytest
from scenario_support import Shared, processes_with, works_on
from support import GITDEPLOY, Server
from support import eventually as soon

from gitdeploy.cli.standby import PASSWORD
from gitdeploy.domain.backup import Contents
from gitdeploy.domain.term import Claim
from gitdeploy.errors import Busy, Refused
from gitdeploy.service import bring_back, follow, promotion
from gitdeploy.service.lead import held
from gitdeploy.service.teller import Teller
from gitdeploy.store import clock, durable, ids
from gitdeploy.store.backup_place import BackupPlace
from gitdeploy.store.elsewhere import elsewhere
from gitdeploy.store.home import Home
from gitdeploy.store.terms import Terms
from gitdeploy.web import standby


def eventually(what, why: str = "") -> None:
    """Programs are started meanwhile, which a busy machine takes its time for."""
    soon(what, seconds=90, why=why)


@pytest.fixture
def following(request, place):
    """A function that has a machine follow."""

    def begin(machine: Server, to: str = "") -> subprocess.Popen[bytes]:
        shutil.rmtree(machine.home)
        log = open(machine.log, "ab")  # noqa: SIM115
        one = subprocess.Popen(
            [*GITDEPLOY, "--home", str(machine.home), "standby", "follow", to or str(place)], stderr=log
        )

        def end() -> None:
            one.kill()
            one.wait()
            log.close()

        request.addfinalizer(end)
        return one

    return begin


def start(server: Shared) -> None:
    """Start, and wait until it may act."""
    Server.start(server)
    eventually(lambda: server.cli("access", "grant", "boss", "admin", check=False).returncode == 0)
    server.admin = server.cli("token", "create", "boss").stdout.strip()


def has_all(standby: Server, place: Path) -> bool:
    """Asked often: of the file that `standby status` reads."""
    newest = max((place / "backups").glob("*.json")).stem
    return follow.State.read(Home(standby.home)).applied == newest


def status(server: Server) -> str:
    return standby.status(server.home)["role"]


def lag(server: Server, token: str) -> float | None:
    lines = server.api("/metrics", token).text.splitlines()
    found = [one for one in lines if one.startswith("gitdeploy_standby_lag_seconds{")]
    return float(found[0].rpartition(" ")[2]) if found else None


def test_a_promoted_standby_acts_and_the_server_that_it_replaced_never_does(
    machine, following, place, tmp_path
):
    first, second = machine(f'[standby]\nto = "{place}"\nlease = "2s"\n'), machine()
    start(first)
    desk = first.new_site(tmp_path / "desk")
    desk.commit("one", index_html="one")
    assert desk.push("main").ok
    follower = following(second)
    eventually(lambda: (second.home / "standby/list.json").exists(), why=second.said())
    desk.commit("two", index_html="two")
    assert desk.push("main").ok
    eventually(lambda: has_all(second, place) and lag(first, first.admin) == 0.0)
    assert "s behind" in first.cli("doctor", check=False).stdout
    assert second.facts("standby", "status")["role"] == "follows" and status(first) == "acts"
    refused = subprocess.run(
        [*GITDEPLOY, "--home", str(second.home), "serve"], capture_output=True, text=True
    )
    assert refused.returncode == 4 and "follows another server" in refused.stderr
    shipments = sorted((place / "backups").iterdir())

    place.rename(away := tmp_path / "away")  # it cannot be known whether another was promoted
    eventually(lambda: desk.commit("x") and "does not answer" in desk.push("HEAD:refs/heads/x").out)
    assert first.get(desk.site).text == "two"
    away.rename(place)
    eventually(lambda: desk.push("HEAD:refs/heads/x").ok)
    assert shipments and first.api("/v1/sites", first.admin).status == 200

    going, accepted = threading.Event(), []

    def push_on() -> None:
        while not going.is_set():
            commit = desk.commit("more", index_html=f"page {len(accepted)}")
            if desk.push("main").ok:
                accepted.append((time.monotonic(), commit))

    pusher = threading.Thread(target=push_on)
    pusher.start()
    eventually(lambda: len(accepted) > 1)
    began = time.monotonic()
    said = second.cli("standby", "promote").stderr
    ended = clock.now()
    going.set()
    pusher.join()
    assert "claimed term 2" in said and follower.wait(timeout=20) == 0
    releases = first.ask(f"/sites/{desk.site}/releases?all=1")
    assert max(one["live_at"] or "" for one in releases) < ended, (
        "the old one stops before the new one begins"
    )
    start(second)
    repository = ("git", "--git-dir", str(second.home / f"repos/{desk.site}.git"))
    for at, commit in accepted:
        if at < began - 5:
            subprocess.run([*repository, "cat-file", "-e", commit], check=True)
    there = subprocess.run([*repository, "rev-parse", "main"], capture_output=True, text=True).stdout.strip()
    assert there in [commit for _, commit in accepted]
    eventually(lambda: second.get(desk.site).text.startswith("page "))

    def fenced() -> None:
        desk.commit("late", index_html="late")
        late = desk.push("main")
        assert not late.ok and "Another server acts now" in late.out and "term 2" in late.out
        assert not desk.push("HEAD:refs/heads/late").ok
        changed = first.cli("config", "set", desk.site, "A=b", check=False)
        assert changed.returncode == 5 and "Another server acts now" in changed.stderr
        assert first.cli("doctor", check=False).returncode == 1
        assert first.get(desk.site).text.startswith("page ")
        assert status(first) == "replaced"

    fenced()
    assert status(second) == "acts"
    first.kill()
    Server.start(first)
    fenced()
    assert first.cli("standby", "promote", check=False).returncode == 5
    assert first.cli("standby", "follow", str(place), check=False).returncode == 4

    works_on(second, desk.site, tmp_path / "again", second.secret("maya"))


@pytest.mark.soak
def test_a_bucket_does_as_well_as_a_folder_and_one_that_hangs_has_nobody_act(
    machine, following, tmp_path, monkeypatch
):
    with buckets.bucket(tmp_path / "s3") as said:
        reached, port = elsewhere(said["copy"], said), said["endpoint"].rpartition(":")[2]
        options = "".join(
            f'{name} = "{said[name]}"\n' for name in ("endpoint", "region", "access_key", "secret_key")
        )
        settings = f'[standby]\nto = "{said["copy"]}"\nlease = "3s"\npassword = "seal"\n{options}'
        first, second = machine(settings), machine()
        start(first)
        desk = first.new_site(tmp_path / "desk")
        desk.commit("one", index_html="one")
        assert desk.push("main").ok and desk.push("HEAD:refs/heads/fix").ok
        with monkeypatch.context() as given:
            for name, value in (
                ("AWS_ENDPOINT_URL", said["endpoint"]), ("AWS_REGION", said["region"]),
                ("AWS_ACCESS_KEY_ID", said["access_key"]), ("AWS_SECRET_ACCESS_KEY", said["secret_key"]),
                (PASSWORD, "seal"),
            ):  # fmt: skip
                given.setenv(name, value)
            follower = following(second, said["copy"])
        backups = BackupPlace(reached, "seal")

        def up_to_date() -> bool:
            state = follow.State.read(Home(second.home))
            return state is not None and state.applied == backups.ids()[-1] and lag(first, first.admin) == 0.0

        eventually(up_to_date, why=second.said())
        assert desk.push(":refs/heads/fix").ok and desk.push("HEAD:refs/heads/fix/it").ok
        desk.commit("two", index_html="two")
        assert desk.push("main").ok
        eventually(up_to_date, why=second.said())

        (server,) = [
            pid for pid in processes_with("rclone") if port in Path(f"/proc/{pid}/cmdline").read_text()
        ]
        os.kill(server, signal.SIGSTOP)
        eventually(lambda: desk.commit("x") and "does not answer" in desk.push("HEAD:refs/heads/x").out)
        assert first.get(desk.site).text == "two"
        os.kill(server, signal.SIGCONT)
        eventually(lambda: desk.push("HEAD:refs/heads/x").ok)
        eventually(up_to_date, why=second.said())

        second.cli("standby", "promote")
        assert follower.wait(timeout=30) == 0
        start(second)
        assert (
            second.get(desk.site).text == "two" and status(second) == "acts" and status(first) == "replaced"
        )
        late = desk.push("HEAD:refs/heads/late")
        assert not late.ok and "Another server acts now" in late.out
        works_on(second, desk.site, tmp_path / "again", second.secret("maya"))
        first.stop()
        second.stop()


STEPS = {
    "the claim is made": "Terms.write",
    "it is waited for": "promotion.elapsed",
    "files are brought": "bring_back.write",
    "the list is renamed": "durable.sync_filesystem",
    "data is filled": "bring_back.fill",
    "the claim is held": "promotion.hold",
    "it follows no more": "durable.sync_folder",
}
OWNERS = {"Terms": Terms, "promotion": promotion, "bring_back": bring_back, "durable": durable}


def promoted(home: Path, dies_before: str = "") -> int:
    """How a process ended that promotes the home, and is killed before its first call of a function."""
    child = os.fork()
    if child == 0:
        if dies_before:
            owner, _, name = dies_before.partition(".")
            plain = getattr(OWNERS[owner], name)

            def last(*given, **more):
                if name != "sync_folder" or (given[0] / ".standby").exists():
                    os.kill(os.getpid(), signal.SIGKILL)
                return plain(*given, **more)

            setattr(OWNERS[owner], name, last)
        code = 1
        with contextlib.suppress(BaseException):
            standby.promote(home, "", lambda _: None)
            code = 0
        os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.soak
def test_a_promotion_that_is_killed_is_finished_by_doing_it_again(machine, following, place, tmp_path):
    first, second, third = machine(f'[standby]\nto = "{place}"\nlease = "2s"\n'), machine(), machine()
    start(first)
    desk = first.new_site(tmp_path / "desk")
    desk.commit("one", index_html="one")
    assert desk.push("main").ok
    follower = following(second)
    eventually(lambda: (second.home / "standby/list.json").exists() and has_all(second, place))
    follower.kill()
    follower.wait()
    desk.commit("two", index_html="two")
    assert desk.push("main").ok
    eventually(lambda: lag(first, first.admin) > 0 and not has_all(second, place))
    first.kill()
    terms, copy = Terms(elsewhere(str(place), {})), Home(tmp_path / "copy")
    (mine,) = terms.claims()
    terms.write(Claim(mine.number, mine.holder, "first", 0.2))
    for step in STEPS.values():
        shutil.rmtree(copy.root, ignore_errors=True)
        subprocess.run(["cp", "-a", str(second.home), str(copy.root)], check=True)
        assert promoted(copy.root, step) == -signal.SIGKILL, step
        if copy.standby.exists():
            with pytest.raises(Busy):
                follow.refuse(copy)
            assert promoted(copy.root) == 0, step
        assert held(copy) == terms.claims()[-1].name, step
        terms.write(Claim(terms.claims()[-1].number, terms.claims()[-1].holder, "copy", 0.2))
    assert len(terms.claims()) == 1 + len(STEPS)
    shutil.rmtree(third.home)
    copy.root.rename(third.home)
    start(third)
    assert third.get(desk.site).text == "two" and third.facts("fsck")["problems"] == []


def test_of_two_that_are_promoted_at_once_one_acts(place, tmp_path):
    reached = elsewhere(str(place), {})
    terms, backups = Terms(reached), BackupPlace(reached, "", new=True)
    terms.write(Claim(1, ids.new("srv"), "first", 0.4))
    backups.write(Contents("00000001-shp_1", "2026-11-01T00:00:00.000Z", "1", {}, ()))
    homes = [Home(tmp_path / name) for name in ("one", "two")]
    for home in homes:
        follow.begin(home, str(place))
    claims = [promotion.prepare(home, terms) for home in homes]
    with ThreadPoolExecutor() as pool:
        tries = [
            pool.submit(promotion.take_over, home, claim, terms, lambda: backups, Teller())
            for home, claim in zip(homes, claims, strict=True)
        ]
    assert claims[0].number == claims[1].number == 2
    lost, won = sorted(range(2), key=lambda one: claims[one])
    assert tries[won].exception() is None
    with pytest.raises(Refused, match="promoted at the same time"):
        tries[lost].result()
    assert follow.promoting(homes[won]) and not follow.promoting(homes[lost])
    assert follow.State.read(homes[lost]) is not None, "it follows on"
