"""The edge's processes: found again, replaced, never mistaken for another's."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from edge_support import Edge, make_site, start_edge, until

import gitdeploy
from gitdeploy.domain.serving import Rules
from gitdeploy.errors import Busy, Failed, Invalid
from gitdeploy.process import Command, check, start
from gitdeploy.runtime.edge import caddy, driver, launch, sockets
from gitdeploy.runtime.edge.running import Record, Running, strays
from gitdeploy.store import durable
from gitdeploy.store.home import Home

BOTH = pytest.mark.parametrize("kind", ["embedded", "caddy"])
ANY = "127.0.0.1:0"


def record(home: Home) -> Record:
    found = Record.read(launch.record_file(home))
    assert found is not None
    return found


@BOTH
def test_what_runs_as_asked_is_left_alone(home: Home, kind: driver.Driver) -> None:
    first = driver.ensure(home, kind, ANY)
    assert first.running and first.driver == kind and not first.listen.endswith(":0")
    assert driver.ensure(home, kind, ANY) == first == driver.status(home)


def test_auto_is_caddy_where_it_is_installed(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    assert driver.ensure(home, "auto", ANY).driver == "caddy"
    monkeypatch.setenv("PATH", "/nonexistent")
    assert driver.ensure(home, "auto", ANY).driver == "embedded"
    with pytest.raises(Failed, match="Caddy is not installed"):
        driver.ensure(home, "caddy", ANY)


@BOTH
def test_it_serves_on_when_whoever_started_it_is_killed(
    home: Home, kind: driver.Driver, tmp_path: Path
) -> None:
    ready = tmp_path / "ready"
    script = (
        "import sys, time; from pathlib import Path; from gitdeploy.store.home import Home\n"
        "from gitdeploy.runtime.edge import driver\n"
        f"driver.ensure(Home(Path({str(home.root)!r})), {kind!r}, {ANY!r}); Path({str(ready)!r}).touch()\n"
        "time.sleep(99)"
    )
    daemon = start(Command((sys.executable, "-c", script)))
    until(ready.exists)
    daemon.send_signal(signal.SIGKILL)
    daemon.wait()
    status = driver.status(home)
    assert status.running
    assert driver.ensure(home, kind, ANY) == status
    edge = start_edge(home, kind)
    site = make_site(edge)
    site.release("r1", {"index.html": "still here"})
    assert site.get().body == b"still here"
    assert all(os.getsid(pid) == pid for pid in status.pids)


@BOTH
def test_a_crashed_edge_is_started_again_with_the_same_state_and_address(
    home: Home, kind: driver.Driver
) -> None:
    edge = start_edge(home, kind)
    plain, ruled = make_site(edge), make_site(edge)
    plain.release("r1", {"index.html": "plain"})
    ruled.release("r1", {"index.html": "ruled"}, Rules(spa=True))
    before = driver.status(home)
    for pid in before.pids:
        os.kill(pid, signal.SIGKILL)
    until(lambda: not driver.status(home).pids)
    after = driver.ensure(home, kind, ANY)
    assert after.running and after.listen == before.listen and not set(after.pids) & set(before.pids)
    assert (plain.get().body, ruled.get("/x").body) == (b"plain", b"ruled")


def test_only_what_crashed_is_started_again(home: Home) -> None:
    driver.ensure(home, "caddy", ANY)
    before = record(home)
    embedded, front = before.named("embedded"), before.named("caddy")
    assert embedded and front
    os.kill(embedded.pid, signal.SIGKILL)
    until(lambda: not embedded.alive)
    driver.ensure(home, "caddy", ANY)
    assert record(home).named("caddy") == front
    assert record(home).named("embedded") not in (None, embedded)


def test_a_pid_that_now_is_another_process_is_neither_believed_nor_ended(home: Home) -> None:
    driver.ensure(home, "embedded", ANY)
    driver.stop(home)
    bystander = start(Command((sys.executable, "-c", "import time; time.sleep(99)")))
    try:
        for born in ("", "0", "another-boot/1"):
            old = Record(
                "embedded", gitdeploy.__version__, ANY, ANY, (Running("embedded", bystander.pid, born, "x"),)
            )
            old.write(launch.record_file(home))
            assert not driver.status(home).running
            assert driver.ensure(home, "embedded", ANY).pids != (bystander.pid,)
            assert bystander.poll() is None
            driver.stop(home)
    finally:
        bystander.kill()
        bystander.wait()


def test_a_damaged_record_is_no_record(home: Home) -> None:
    """What it named is found by its home instead, and does not stay behind."""
    before = driver.ensure(home, "embedded", ANY)
    for damage in ("", "{", "[]", "null", '{"driver": 1}', '{"processes": [{"pid": "x"}]}'):
        launch.record_file(home).write_text(damage)
        again = driver.ensure(home, "embedded", ANY)
        assert again.running and not set(again.pids) & set(before.pids), damage
        assert not list(strays(home.root, launch.EMBEDDED, record(home).processes)), damage
        before = again


@BOTH
def test_a_starter_killed_before_it_could_write_leaves_no_stray(home: Home, kind: driver.Driver) -> None:
    first = driver.ensure(home, kind, ANY)
    before = record(home)
    replace(before, processes=before.processes[:-1]).write(launch.record_file(home))
    again = driver.ensure(home, kind, ANY)
    assert again.running and again.listen == first.listen and first.pids[-1] not in again.pids
    assert not list(strays(home.root, launch.EMBEDDED, record(home).processes))


def test_two_homes_do_not_see_each_other(home: Home, edge: Edge) -> None:
    other = driver.status(edge.home)
    driver.ensure(home, "caddy", ANY)
    driver.stop(home)
    assert driver.status(edge.home) == other and other.running


@BOTH
def test_a_port_in_use_is_said_by_the_name_of_who_has_it(home: Home, kind: driver.Driver) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(Failed, match=rf"127\.0\.0\.1:{port} is in use by .* \(process {os.getpid()}\)"):
            driver.ensure(home, kind, f"127.0.0.1:{port}")
    assert driver.ensure(home, kind, f"127.0.0.1:{port}").running


def test_an_edge_that_cannot_start_says_why(home: Home) -> None:
    durable.make_folder(home.run / "edge.sock")
    with pytest.raises(Failed, match=r"The embedded edge ended: .*IsADirectoryError") as caught:
        driver.ensure(home, "embedded", ANY)
    assert "edge.log" in caught.value.hint
    (home.run / "edge.sock").rmdir()
    assert driver.ensure(home, "embedded", ANY).running


@pytest.mark.parametrize("listen", ["", "8480", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:99999", ":80"])
def test_an_address_that_is_none_is_refused(home: Home, listen: str) -> None:
    with pytest.raises(Invalid, match="no address to listen on"):
        driver.ensure(home, "embedded", listen)


def test_two_at_once(home: Home) -> None:
    durable.make_folder(home.run)
    with durable.exclusive(home.run / "edge.lock", busy="x"), pytest.raises(Busy):
        driver.ensure(home, "embedded", ANY)


def test_another_driver_or_address_replaces_what_runs(home: Home) -> None:
    embedded = driver.ensure(home, "embedded", ANY)
    both = driver.ensure(home, "caddy", ANY)
    assert both.driver == "caddy" and not set(both.pids) & set(embedded.pids)
    back = driver.ensure(home, "embedded", embedded.listen)
    assert (back.driver, back.listen) == ("embedded", embedded.listen)
    assert not list(strays(home.root, launch.EMBEDDED, record(home).processes))


def test_an_upgrade_loses_no_request(home: Home, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The new process takes over the listening socket; connections of the old one are finished."""
    edge = start_edge(home, "embedded")
    site = make_site(edge)
    site.release("r1", {"index.html": "[r1]" + "-" * 3000 + "[r1]"})
    host, port = edge.address
    reader = Path(__file__).with_name("reader.py")
    argv = (
        sys.executable,
        str(reader),
        host,
        str(port),
        site.host,
        "/index.html",
        str(tmp_path / "stop"),
        "once",
    )
    with open(tmp_path / "out", "wb") as out:
        reading = start(Command(argv), stdout=out, stderr=out)
        until((tmp_path / "index.html.begun").exists)
        for version in ("0.2", "0.3", "0.4"):
            before = driver.status(home)
            monkeypatch.setattr(gitdeploy, "__version__", version)
            after = driver.ensure(home, "embedded", ANY)
            assert after.version == version and after.listen == before.listen
            assert not set(after.pids) & set(before.pids)
        (tmp_path / "stop").touch()
        assert reading.wait(30) == 0
    requests, failed, mixed, *_ = (tmp_path / "out").read_text().split()
    assert (failed, mixed) == ("0", "0") and int(requests) > 20


def test_an_upgrade_leaves_caddy_alone_while_its_configuration_is_the_same(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver.ensure(home, "caddy", ANY)
    before = record(home)
    monkeypatch.setattr(gitdeploy, "__version__", "0.2")
    driver.ensure(home, "caddy", ANY)
    assert record(home).named("caddy") == before.named("caddy")
    assert record(home).named("embedded") != before.named("embedded")
    monkeypatch.setattr(
        caddy, "config", lambda listen, tls=None, config=caddy.config: {**config(listen), "logging": {}}
    )
    driver.ensure(home, "caddy", ANY)
    assert record(home).named("caddy") != before.named("caddy")


def test_one_that_was_followed_is_ended_even_when_the_starter_is_killed_in_between(home: Home) -> None:
    driver.ensure(home, "embedded", ANY)
    sleeper = start(Command((sys.executable, "-c", "import time; time.sleep(99)"), cwd=home.root))
    followed = Running.child("embedded", "x", sleeper)
    replace(record(home), leaving=(followed,)).write(launch.record_file(home))
    driver.ensure(home, "embedded", ANY)
    assert not followed.alive and record(home).leaving == ()


@BOTH
def test_a_moved_home_serves_on_and_starts_again(home: Home, kind: driver.Driver) -> None:
    edge = start_edge(home, kind)
    plain, ruled = make_site(edge), make_site(edge)
    plain.release("r1", {"index.html": "plain"})
    ruled.release("r1", {"index.html": "ruled"}, Rules(spa=True))
    moved = Home(home.root.with_name(home.root.name + "-moved"))
    home.root.rename(moved.root)
    try:
        assert (plain.get().body, ruled.get("/x").body) == (b"plain", b"ruled")
        assert driver.ensure(moved, kind, ANY).running
        driver.stop(moved)
        edge.address = start_edge(moved, kind).address
        assert (plain.get().body, ruled.get("/x").body) == (b"plain", b"ruled")
        driver.stop(moved)
    finally:
        shutil.move(moved.root, home.root)


@BOTH
def test_a_copied_home_leaves_the_originals_edge_alone(home: Home, kind: driver.Driver) -> None:
    """Its record came along in the copy, and names processes that run."""
    first = driver.ensure(home, kind, ANY)
    copied = Home(home.root.with_name(home.root.name + "-copied"))
    try:
        for end in (driver.stop, lambda one: driver.ensure(one, kind, ANY)):
            durable.make_folder(copied.run)
            shutil.copy(launch.record_file(home), launch.record_file(copied))
            assert not driver.status(copied).running
            end(copied)
            assert driver.status(home) == first and first.running
        own = driver.status(copied)
        assert own.running and own.listen != first.listen and not set(own.pids) & set(first.pids)
    finally:
        driver.stop(copied)
        shutil.rmtree(copied.root)


def test_caddys_configuration_knows_no_site_and_is_sound(home: Home) -> None:
    driver.ensure(home, "caddy", "127.0.0.1:0")
    written = home.run / "caddy.json"
    before = written.read_bytes()
    make_site(Edge(home, "caddy", ("", 0))).release("r1", {"index.html": "x"})
    driver.ensure(home, "caddy", ANY)
    assert written.read_bytes() == before
    assert str(home.root) not in before.decode()
    assert json.loads(before) == caddy.config(driver.status(home).listen)
    check(
        Command(
            ("caddy", "validate", "--config", "run/caddy.json"), cwd=home.root, env={"HOME": str(home.root)}
        )
    )


def test_the_sockets_are_for_the_owner_alone(home: Home) -> None:
    driver.ensure(home, "embedded", ANY)
    assert home.run.stat().st_mode & 0o777 == 0o700
    for name in ("edge.sock", "edge.hand", "edge.json"):
        assert (home.run / name).stat().st_mode & 0o077 == 0


def test_stop_is_stop(home: Home) -> None:
    driver.stop(home)
    status = driver.ensure(home, "caddy", ANY)
    driver.stop(home)
    assert driver.status(home) == driver.EdgeStatus(running=False)
    host, port = status.listen.split(":")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, int(port)))
    driver.stop(home)


def test_a_process_is_gone_only_when_its_last_thread_has_let_go_of_the_port(home: Home) -> None:
    """A killed process's first thread may be a zombie while another still holds the files of all."""
    for _ in range(10):
        status = driver.ensure(home, "embedded", ANY)
        one = record(home).processes[0]
        host, port = status.listen.split(":")
        os.kill(one.pid, signal.SIGKILL)
        while one.alive:
            pass
        sockets.claim(host, int(port)).close()
