"""Many people, one server: pushes, rollbacks, locks and the collection of rubbish, all at the same time."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from held import Going, Held
from support import Project, Server, eventually, passing_project, running

server = pytest.fixture(scope="module")(running)
project = pytest.fixture(passing_project)
VISITOR = Path(__file__).with_name("visitor.py")


@pytest.fixture
def blog(server, project):
    for page in ("one", "two"):
        project.commit(page, index_html=page)
        assert project.push("main").ok
    return project


def person(server: Server, folder: Path, name: str) -> Project:
    """Somebody with a clone and a token of their own."""
    one = Project(folder / name, server)
    one.git("remote", "add", "managed", server.remote("blog", name, "maintainer"))
    one.git("pull", "-q", "managed", "main")
    return one


def live(server: Server) -> dict[str, object]:
    return server.facts("live", "blog")


def test_eight_previews_at_once(server, blog, tmp_path):
    people = [person(server, tmp_path, f"p{number}") for number in range(8)]
    for number, one in enumerate(people):
        one.commit(f"page of {number}", index_html=f"page of {number}")
    for push in [Going(one, "managed", f"HEAD:b{number}") for number, one in enumerate(people)]:
        pushed = push.ended()
        assert pushed.ok, pushed.out
    for number in range(8):
        assert server.get(f"b{number}--blog").text == f"page of {number}"
    assert server.get("blog").text == "two"
    numbers = [int(one["release"][1:]) for one in server.facts("releases", "blog")]
    assert sorted(numbers) == list(range(1, 11))


def test_of_six_who_push_to_main_at_once_exactly_one_wins(server, blog, tmp_path):
    people = [person(server, tmp_path, f"p{number}") for number in range(6)]
    for turn in range(2):
        for one in people:
            one.git("fetch", "-q", "managed")
            one.git("reset", "-q", "--hard", "managed/main")
            one.commit("mine", index_html=f"{one.folder.name} in turn {turn}")
        said = [push.ended() for push in [Going(one, "managed", "HEAD:main") for one in people]]
        (winner,) = [number for number, one in enumerate(said) if one.ok]
        for number, one in enumerate(said):
            assert number == winner or "rejected]" in one.out, one.out
        assert server.get("blog").text == f"p{winner} in turn {turn}"
        commit = people[winner].git("rev-parse", "HEAD")
        assert live(server)["commit"] == commit
        assert blog.git("ls-remote", "managed", "refs/heads/main").split()[0] == commit


def test_a_rollback_does_not_wait_for_a_build(server, blog):
    held = Held(server, blog)
    commit = blog.commit("three", index_html="three")
    push = Going(blog, "managed", "main")
    held.wait()
    for target, page in (("r1", "one"), ("r2", "two"), ("r1", "one")):
        assert blog.push(f"HEAD:rollback/{target}").ok
        assert server.get("blog").text == page
    held.go()
    pushed = push.ended()
    assert pushed.ok, pushed.out
    assert server.get("blog").text == "three"
    assert live(server)["commit"] == commit


def test_a_lock_stops_a_push_that_began_before_it_and_lets_rollbacks_through(server, blog):
    held = Held(server, blog)
    blog.commit("three", index_html="three")
    push = Going(blog, "managed", "main")
    held.wait()
    server.cli("lock", "blog", "--reason", "an incident")
    held.go()
    pushed = push.ended()
    assert pushed.code == 1
    assert "an incident" in pushed.out
    assert server.get("blog").text == "two"
    late = blog.push("main")
    assert late.code == 1 and "an incident" in late.out
    assert blog.push("HEAD:rollback/r1").ok
    assert server.get("blog").text == "one"
    server.cli("unlock", "blog")
    assert blog.push("main").ok
    assert server.get("blog").text == "three"


def test_a_push_does_not_fail_because_another_branch_went_away(server, blog):
    """Both wait for one build of one commit; what began it is deleted, as people do right after a merge."""
    held = Held(server, blog)
    blog.commit("three", index_html="three")
    first = Going(blog, "managed", "HEAD:feature")
    held.wait()
    second = Going(blog, "managed", "main")
    begun = held.begun()
    eventually(lambda: "refs/heads/feature" in blog.git("ls-remote", "managed"))
    token = server.token("maya")
    builds = "/v1/sites/blog/builds"
    eventually(
        lambda: "following it" in server.said() or len(json.loads(server.api(builds, token).text)) == 3
    )
    assert blog.push(":feature").ok
    first.ended()
    eventually(lambda: held.begun() and held.begun() != begun, seconds=60)
    held.go()
    pushed = second.ended()
    assert pushed.ok, pushed.out
    assert server.get("blog").text == "three"


def test_those_who_wait_stand_in_nobodys_way(server, blog):
    """Eighty who follow the log of a build, and the API, git and a rollback are answered as ever."""
    held = Held(server, blog)
    blog.commit("three", index_html="three")
    push = Going(blog, "managed", "main")
    held.wait()
    token = server.token("maya")
    (build,) = [one["id"] for one in server.facts("builds", "blog") if one["state"] == "building"]
    followers = []
    for _ in range(80):
        one = http.client.HTTPConnection(server.listen, timeout=60)
        one.request(
            "GET", f"/v1/builds/{build}/log?follow=true", headers={"Authorization": f"Bearer {token}"}
        )
        followers.append((one, one.getresponse()))
    assert server.api("/healthz").text == "ok\n"
    assert blog.push("HEAD:rollback/r1").ok
    held.go()
    assert push.ended().ok
    for one, answer in followers:
        assert b"touch begun" in answer.read()
        one.close()


def test_a_body_without_end_is_refused_before_anybody_is_asked_who_they_are(server):
    connection = http.client.HTTPConnection(server.listen, timeout=60)
    connection.putrequest("POST", "/v1/sites")
    connection.putheader("Content-Type", "application/json")
    connection.putheader("Transfer-Encoding", "chunked")
    connection.endheaders()
    try:
        for _ in range(64):
            connection.send(b"100000\r\n" + b" " * 0x100000 + b"\r\n")
    except OSError:
        pass  # it hung up on us, which is as good
    assert connection.getresponse().status == 413
    connection.close()


def test_the_collection_beside_everything_loses_nothing(server, blog, tmp_path):
    """gc again and again, while pages are pushed, rolled back and visited: all that a rollback may want stays."""
    token = server.token("root")
    stop = threading.Event()
    collected: list[int] = []

    def collect() -> None:
        while not stop.is_set():
            collected.append(server.api("/v1/gc", token, "POST").status)

    server.cli("access", "grant", "root", "admin")
    mark = "release {}\n"
    for number in (3, 4):
        blog.write("index.html", mark.format(number) * 2)
        blog.write("large.txt", mark.format(number) + f"{number}\n" * 20_000)
        blog.commit(str(number))
        assert blog.push("main").ok
    out = tmp_path / "told.json"
    visitors = subprocess.Popen(
        [sys.executable, str(VISITOR), server.edge, "blog.localhost", str(out)], stdin=subprocess.PIPE
    )
    collector = threading.Thread(target=collect)
    collector.start()
    try:
        for number in range(5, 9):
            blog.write("index.html", mark.format(number) * 2)
            blog.write("large.txt", mark.format(number) + f"{number}\n" * 20_000)
            blog.commit(str(number))
            for ref in ("main", f"HEAD:feature{number % 3}", "HEAD:rollback/previous"):
                pushed = blog.push("--force", ref)
                assert pushed.ok, pushed.out
    finally:
        stop.set()
        collector.join()
        visitors.stdin.close()
        visitors.wait(timeout=60)
    assert len(collected) > 3 and set(collected) == {200}, server.said()
    assert json.loads(out.read_text())["failed"] == []
    assert server.facts("fsck")["problems"] == []
    server.cli("verify", "blog")
    for branch in ("feature0", "feature1", "feature2"):
        assert server.get(f"{branch}--blog").status == 200
    assert blog.push("HEAD:rollback/previous").ok


def test_a_draining_release_keeps_its_files(server, blog):
    """Who began in a release may still be in it when the collection comes along just after the switch."""
    folder = server.home / "sites/blog/production/slots/r2/root"
    assert (folder / "index.html").read_text() == "two"
    builds = [blog.commit(str(number), index_html=str(number)) for number in range(3, 15)]
    assert blog.push(*(f"{commit}:refs/heads/b{number}" for number, commit in enumerate(builds))).ok
    assert blog.push(f"HEAD:promote/{builds[0][:10]}").ok
    server.cli("gc")
    assert (folder / "index.html").read_text() == "two"
