"""The disk fills at any moment of a push: it fails with a sentence, what is live stays live, and room heals all."""

from __future__ import annotations

import contextlib
import subprocess

import pytest
from crash_ground import SITE, Mortal, assert_agreed, assert_settled, passing_releases

SIZE = 48 << 20
HOST = f"feature--{SITE}"

project = pytest.fixture(passing_releases)


@pytest.fixture(scope="module", params=[0.0])
def server(request):
    """A home on a small disk of its own. Pushes are refused beforehand where less than this percentage is free."""
    one = Mortal()

    def unmount() -> None:
        subprocess.run(["umount", "--lazy", str(one.home)], check=True)
        one.home.rmdir()

    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(one.home)], check=True)
    request.addfinalizer(unmount)
    request.addfinalizer(one.destroy)  # before the disk goes: the edge is found by its home
    (one.home / "server.toml").write_text(f"min_free = {request.param}\n")
    one.start()
    return one


def fill(server: Mortal, *, leave: int) -> None:
    """Use up the disk but for `leave` bytes."""
    with open(server.home / "filler", "wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(1 << 16)):
            pass
    size = (server.home / "filler").stat().st_size
    with open(server.home / "filler", "r+b") as file:
        file.truncate(max(0, size - leave))


def free(server: Mortal) -> None:
    (server.home / "filler").unlink()


@pytest.mark.parametrize("server", [50.0], indirect=True)
def test_too_little_room_is_said_before_anything_is_kept(server, project):
    fill(server, leave=SIZE // 4)
    project.commit("three", index_html="three")
    before = assert_agreed(server, project)
    pushed = project.push("main")
    assert pushed.code == 1
    assert "disk is" in pushed.out and "gitdeploy gc" in pushed.out
    assert assert_agreed(server, project) == before
    free(server)
    assert project.push("main").ok


@pytest.mark.parametrize(
    "what",
    [
        "main",
        pytest.param("feature", marks=pytest.mark.soak),
        pytest.param("rollback/r1", marks=pytest.mark.soak),
    ],
)
def test_a_disk_that_fills_anywhere_in_a_push(server, project, what):
    """From no room at all to enough of it: old or new, never between; afterwards the same push works."""
    worked = failed = 0
    for leave in range(0, 640 << 10, 16 << 10):
        page = f"page {leave}"
        project.commit(page, index_html=page)
        before = assert_agreed(server, project)
        fill(server, leave=leave)
        pushed = project.push(f"HEAD:{what}")
        assert "Traceback" not in pushed.out
        assert "error of its own" not in pushed.out, pushed.out
        assert server.get(SITE).text in (before.page, page, "one")
        free(server)
        assert_settled(server)
        now = assert_agreed(server, project)
        if pushed.ok and (what != "feature" or server.get(HOST).text == page):
            worked += 1
        else:
            failed += 1
            assert now == before, pushed.out
            if (
                what == "feature"
            ):  # it was accepted, and its build failed for lack of room: push something new
                project.git("commit", "-q", "--amend", "--allow-empty", "-m", f"{page} again")
            again = project.push("--force", f"HEAD:{what}")
            assert again.ok, again.out
            now = assert_agreed(server, project)
        if what == "feature":
            assert server.get(HOST).text == page
        else:
            assert now.page == ("one" if what == "rollback/r1" else page)
        assert_settled(server)
        if worked > 2:
            break
    assert failed > 2


def test_a_daemon_killed_on_a_full_disk(server, project):
    """The sites are served on; the start may be refused with a sentence; once there is room all goes on."""
    fill(server, leave=0)
    server.process.terminate()
    server.process.wait(timeout=60)
    assert server.get(SITE).text == "two"
    begin = server.log.stat().st_size
    try:
        server.start()
        server.stop()
    except AssertionError:
        assert "Traceback" not in server.said(begin)
        assert "disk is full" in server.said(begin)
    assert server.get(SITE).text == "two"
    free(server)
    server.start()
    project.commit("three", index_html="three")
    assert project.push("main").ok
    assert assert_agreed(server, project).page == "three"
    assert_settled(server)
