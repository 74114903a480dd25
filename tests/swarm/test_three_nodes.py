"""A site on three nodes, through plain git: real engines, a real registry, a real edge, visitors from outside."""

from __future__ import annotations

import http.client
import shutil
import subprocess
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from nodes import Node, Swarm
from support import GITDEPLOY, Project, Server, eventually
from visits import Load

APP = """
import os, socket, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Page(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.path == "/health" and %(health)r != "well":
            return self.send_error(500)
        body = ("%(text)s %%s %%s %%s" %% (os.environ["GITDEPLOY_RELEASE"], os.environ.get("GREETING", "-"),
                os.environ.get("TOKEN", "-"))).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *said):
        pass

print("this is %(text)s", flush=True)
ThreadingHTTPServer(("0.0.0.0", int(os.environ["PORT"])), Page).serve_forever()
"""
SETTINGS = """
[runtime]
driver = "swarm"
[health]
path = "/health"
timeout = "6s"
[processes]
web = {{ command = "python3 app.py", count = {count}, stop_timeout = "3s" }}
[production]
keep = 20
"""


def change(project: Project, text: str, *, health: str = "well", count: int = 3) -> str:
    """Commit an app that answers with `text`."""
    project.write("app.py", APP % {"text": text, "health": health})
    project.write("gitdeploy.toml", SETTINGS.format(count=count))
    return project.commit(text)


@pytest.fixture(scope="module")
def server(three_nodes: Swarm, request: pytest.FixtureRequest) -> Server:
    made = Server(settings=three_nodes.settings)
    request.addfinalizer(made.destroy)
    made.start()
    return made


@pytest.fixture(scope="module")
def shop(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Project:
    server.cli("site", "create", "shop")
    project = Project(tmp_path_factory.mktemp("shop") / "shop", server)
    project.git("remote", "add", "managed", server.remote("shop", "ana", "maintainer"))
    return project


def get(node: Node, host: str, path: str = "/", within: float = 10.0) -> tuple[int, str]:
    link = http.client.HTTPConnection(node.edge, timeout=within)
    try:
        link.request("GET", path, headers={"Host": host})
        got = link.getresponse()
        return got.status, got.read().decode()
    finally:
        link.close()


def shows(swarm: Swarm, host: str, text: str) -> None:
    """Every node's edge does, within the second or so in which the last old container is still named by the DNS."""

    def said() -> list[str]:
        return [get(one, host)[1] for one in swarm.nodes]

    eventually(
        lambda: all(one.startswith(text) for one in said()), seconds=60, why=f"{host} does not show {text}"
    )


@pytest.fixture
def live(three_nodes: Swarm, shop: Project) -> Project:
    """`shop` with three containers of something in production, all nodes well."""
    eventually(lambda: three_nodes.ready() == len(three_nodes.nodes), seconds=90)
    if "shop" not in {one["name"] for one in shop.server.facts("site", "list") if one["live"]}:
        shop.git("checkout", "-q", "-B", "main")
        change(shop, "one")
        pushed = shop.push("main")
        assert pushed.ok, pushed.out
    return shop


def services(swarm: Swarm) -> dict[str, dict[str, object]]:
    return {one.name: one.attrs for one in swarm.leader().client.services.list()}


def image_of(swarm: Swarm) -> str:
    return services(swarm)["shop-production-web"]["Spec"]["TaskTemplate"]["ContainerSpec"]["Image"]


def images_of(swarm: Swarm, repository: str) -> list[str]:
    """What the nodes have of it."""
    found = [
        name
        for one in swarm.nodes
        for image in one.client.images.list()
        for name in image.attrs["RepoDigests"]
    ]
    return [name for name in found if name.startswith(f"{repository}@")]


def tasks(swarm: Swarm) -> set[str]:
    """Of production, what runs."""
    found = swarm.leader().client.services.get("shop-production-web").tasks({"desired-state": "running"})
    return {one["ID"] for one in found if one["Status"]["State"] == "running"}


def test_push_preview_promote_and_roll_back_with_git_alone(three_nodes: Swarm, shop: Project) -> None:
    shop.git("checkout", "-q", "-b", "try")
    change(shop, "one")
    pushed = shop.push("try")
    assert pushed.ok, pushed.out
    shows(three_nodes, "try--shop.localhost", "one r1")
    pushed = shop.push("try:main")
    assert pushed.ok, pushed.out
    assert "live: r2" in pushed.out and "built on try" in pushed.out, pushed.out
    shows(three_nodes, "shop.localhost", "one r2 - -")
    ran = {
        name: one["Spec"]["TaskTemplate"]["ContainerSpec"]["Image"]
        for name, one in services(three_nodes).items()
    }
    assert ran["shop-production-web"] == ran["shop-try-web"]  # the very bytes that were reviewed
    assert shop.server.facts("live", "shop")["image"] == ran["shop-production-web"]

    shop.git("checkout", "-q", "-B", "main")
    with Load(three_nodes.edges, "shop.localhost") as load:
        change(shop, "two")
        pushed = shop.push("main")
        assert pushed.ok, pushed.out
        shows(three_nodes, "shop.localhost", "two r3")
        pushed = shop.push("HEAD:rollback/r2")
        assert pushed.ok, pushed.out
        shows(three_nodes, "shop.localhost", "one r4")
    assert not load.failed and {text for _, text in load.seen} == {"one", "two"}, load.failed[:5]
    shop.push("--delete", "try")
    eventually(lambda: "shop-try-web" not in services(three_nodes), why="the preview still runs")
    eventually(
        lambda: get(three_nodes.nodes[0], "try--shop.localhost", within=20)[0] == 503, seconds=60,
        why="the preview still answers",
    )  # fmt: skip


def test_the_doctor_knows_the_swarm(three_nodes: Swarm, live: Project) -> None:
    said = {one["name"]: one for one in live.server.facts("doctor")}
    assert (said["swarm"]["level"], said["registry"]["level"]) == ("ok", "ok"), said


@pytest.mark.soak
def test_no_request_fails_over_rollouts_and_rollbacks(three_nodes: Swarm, live: Project) -> None:
    with Load(three_nodes.edges, "shop.localhost", pause=0.005) as load:
        for number in range(10):
            change(live, f"round{number}")
            pushed = live.push("main")
            assert pushed.ok, pushed.out
            pushed = live.push("HEAD:rollback/previous")
            assert pushed.ok, pushed.out
    assert not load.failed, (len(load.failed), load.failed[:5])
    print(f"{sum(load.seen.values())} requests, none failed")
    assert sum(load.seen.values()) > 1000, load.seen
    assert {f"round{number}" for number in range(10)} <= {text for _, text in load.seen}


def test_files_are_served_by_every_node_and_by_their_rules(
    three_nodes: Swarm, server: Server, tmp_path: Path
) -> None:
    server.cli("site", "create", "pages")
    pages = Project(tmp_path / "pages", server)
    pages.git("remote", "add", "managed", server.remote("pages", "ana", "maintainer"))
    pages.write("gitdeploy.toml", '[runtime]\ndriver = "swarm"\n[static]\nclean_urls = true\n')
    pages.write("_redirects", "/old /about 301\n")
    pages.write("about.html", "about us")
    pages.commit("one", index_html="first")
    pushed = pages.push("main")
    assert pushed.ok, pushed.out
    for node in three_nodes.nodes:
        eventually(lambda node=node: get(node, "pages.localhost") == (200, "first"), why=node.name)
        assert get(node, "pages.localhost", "/about") == (200, "about us")
        assert get(node, "pages.localhost", "/old")[0] == 301
        assert get(node, "pages.localhost", "/none")[0] == 404
    pages.commit("two", index_html="second")
    with Load(three_nodes.edges, "pages.localhost") as load:
        pushed = pages.push("main")
        assert pushed.ok, pushed.out
    assert not load.failed and {text for _, text in load.seen} == {"first", "second"}, load.failed[:5]

    refused = server.cli("preview", "protect", "pages", "production", stdin="sesame\n", check=False)
    assert refused.returncode == 2 and "whose edge keeps nobody out" in refused.stderr, refused
    mine = server.facts("live", "pages")["image"].partition("@")[0]
    assert images_of(three_nodes, mine)
    server.cli("site", "remove", "pages", "--yes")
    assert not [name for name in services(three_nodes) if name.startswith("pages-")]

    def cleared() -> bool:
        server.cli("gc")
        return not images_of(three_nodes, mine)

    eventually(cleared, seconds=60, why="nodes keep images that nobody needs")


def test_a_server_killed_in_a_rollout_is_wholly_there_or_wholly_not(
    three_nodes: Swarm, live: Project
) -> None:
    server = live.server
    before = get(three_nodes.nodes[0], "shop.localhost")[1]
    change(live, "half")
    pushing = threading.Thread(target=live.push, args=("main",))
    with Load(three_nodes.edges, "shop.localhost", visitors=3, pause=0.1) as load:
        pushing.start()
        said = "gitdeploy.release"
        known = services(three_nodes)["shop-production-web"]["Spec"]["Labels"][said]
        eventually(
            lambda: services(three_nodes)["shop-production-web"]["Spec"]["Labels"][said] != known, seconds=60
        )
        server.kill()
        pushing.join()
        server.start()
        settled = ("completed", "rollback_completed")
        eventually(
            lambda: (
                image_of(three_nodes) == server.facts("live", "shop")["image"]
                and services(three_nodes)["shop-production-web"]["UpdateStatus"]["State"] in settled
            ),
            seconds=60,
        )
        shows(three_nodes, "shop.localhost", before.split()[0])
    assert not load.failed, load.failed[:5]
    pushed = live.push("main")
    assert pushed.ok, pushed.out
    shows(three_nodes, "shop.localhost", "half")


def test_a_node_is_cut_off_and_its_leader_dies(three_nodes: Swarm, live: Project) -> None:
    leader = three_nodes.leader()
    cut, third = (one for one in three_nodes.nodes if one is not leader)
    cut.cut()
    try:
        with Load([leader.edge, third.edge], "shop.localhost", visitors=4, pause=0.1) as load:
            eventually(lambda: three_nodes.ready() == 2, seconds=60, why="nobody saw that a node has gone")
            change(live, "two nodes")
            pushed = live.push("main")
            assert pushed.ok, pushed.out
            eventually(
                lambda: _running(leader, "shop-production-web") == {leader.name, third.name}, seconds=60
            )
        assert not load.failed, load.failed[:5]
    finally:
        cut.mend()
    eventually(lambda: three_nodes.ready() == 3, seconds=90)
    leader.lose_power()
    try:
        change(live, "without its leader")
        pushed = live.push("main")
        alive = [one for one in three_nodes.nodes if one is not leader]
        if pushed.ok:
            shows(replace(three_nodes, nodes=alive), "shop.localhost", "without")
        else:
            assert "swarm" in pushed.out, pushed.out
            shows(replace(three_nodes, nodes=alive), "shop.localhost", "two")
            assert live.push("main").ok
    finally:
        leader.start()
        leader.wait()
    eventually(lambda: three_nodes.ready() == 3, seconds=120)


def _running(asked: Node, service: str) -> set[str]:
    """The nodes that the containers of a service run on."""
    names = {one.id: one.attrs["Description"]["Hostname"] for one in asked.client.nodes.list()}
    tasks = asked.client.services.get(service).tasks({"desired-state": "running"})
    return {names[one["NodeID"]] for one in tasks if one["Status"]["State"] == "running"}


def test_the_server_is_lost_and_brought_back_elsewhere(
    three_nodes: Swarm, live: Project, tmp_path: Path
) -> None:
    old = live.server
    first = old.facts("live", "shop")
    shown = get(three_nodes.nodes[0], "shop.localhost")[1]
    place = tmp_path / "backups"
    place.mkdir()
    text = (old.home / "server.toml").read_text() + f'[backup]\nto = "{place}"\nevery = ""\n'
    (old.home / "server.toml").write_text(text)
    old.stop()
    old.start()
    old.cli("backup")
    ran = tasks(three_nodes)
    old.kill()
    old.cli("edge", "stop")
    shutil.rmtree(old.home)
    shows(three_nodes, "shop.localhost", shown)  # nobody needs the server to be served

    new = Server()
    shutil.rmtree(new.home)
    done = subprocess.run(
        [*GITDEPLOY, "--home", str(new.home), "backup", "restore", str(place)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    new.start()
    try:
        assert tasks(three_nodes) == ran  # all of it was known again, nothing started anew
        assert new.facts("live", "shop") == first
        live.git("remote", "set-url", "managed", new.remote("shop", "ana"))
        change(live, "from the new one")
        pushed = live.push("main")
        assert pushed.ok, pushed.out
        shows(three_nodes, "shop.localhost", "from")
        pushed = live.push(f"HEAD:rollback/{first['release']}")
        assert pushed.ok, pushed.out
    finally:
        new.destroy()
