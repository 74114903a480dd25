"""Both edges write the same lines about the same visits."""

from __future__ import annotations

import json
import shutil
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from edge_support import App, Edge, Site, until

from gitdeploy.runtime.edge import access_log
from gitdeploy.runtime.edge.answer import Request

Run = Callable[..., App]


def visits(site: Site, count: int) -> list[dict[str, object]]:
    """The lines about a site, once there are so many."""

    def lines() -> list[dict[str, object]]:
        text = (site.edge.home.root / access_log.FILE).read_text()
        said = [json.loads(line) for line in text.splitlines()]
        return [one for one in said if site.name in one["request"]["host"].lower()]

    until(lambda: len(lines()) >= count)
    return lines()


def test_a_line_says_what_was_asked_and_answered_and_no_header(site: Site, run: Run) -> None:
    site.release("r1", {"index.html": "x" * 100})
    secrets = {"cookie": "cookie-secret", "authorization": "Basic c2VjcmV0", "referer": "referer-secret"}
    site.get("/?a=b&c=%20", **secrets)
    site.edge.get(site.host.upper() + ".:80", "/nope", "HEAD")
    site.production.maintenance("closed")
    site.get("/m", "POST")
    site.production.maintenance(None)
    run("r2")
    size = len(site.get("/app").body)
    said = visits(site, 4)
    assert [(one["request"]["method"], one["request"]["uri"], one["status"]) for one in said] == [
        ("GET", "/?a=b&c=%20", 200), ("HEAD", "/nope", 404), ("POST", "/m", 503), ("GET", "/app", 200),
    ]  # fmt: skip
    assert [one["size"] for one in said[::3]] == [100, size]
    assert said[1]["request"]["host"] == site.host.upper() + ".:80"
    for one in said:
        assert set(one) == {"ts", "request", "duration", "size", "status"}
        assert set(one["request"]) == {"remote_ip", "method", "host", "uri"}
        assert one["request"]["remote_ip"] == "127.0.0.1"
        assert str(one["ts"]).startswith("20") and str(one["ts"]).endswith("Z")
        assert 0 < one["duration"] < 20
        assert "secret" not in json.dumps(one) and "c2Vj" not in json.dumps(one)


def test_a_websocket_is_a_visit_too(site: Site, run: Run) -> None:
    run("r1")
    with socket.create_connection(site.edge.address, timeout=20) as connection:
        head = f"GET /ws HTTP/1.1\r\nHost: {site.host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
        connection.sendall(head.encode())
        assert b" 101 " in connection.recv(4096)
    assert visits(site, 1)[0]["status"] == {"embedded": 101, "caddy": 0}[site.edge.kind]


def test_the_drivers_own_questions_are_no_visits(edge: Edge) -> None:
    edge.get("edge.gitdeploy.invalid")
    edge.get("nobody.example", "/seen")
    log = edge.home.root / access_log.FILE
    until(lambda: "/seen" in log.read_text())
    assert "gitdeploy.invalid" not in log.read_text()


@pytest.fixture
def folder() -> Path:
    home = Path(tempfile.mkdtemp(dir="/tmp", prefix="gd-"))
    (home / "logs").mkdir()
    yield home
    shutil.rmtree(home)


def test_a_large_log_is_put_aside_and_the_oldest_go(folder: Path) -> None:
    scope = {
        "method": "GET", "raw_path": b"/\xff", "query_string": b"", "headers": [(b"host", b"h")],
        "http_version": "1.1", "client": ("192.0.2.1", 1), "state": {},
    }  # fmt: skip
    for day in range(1, 9):
        (folder / f"logs/access-2020-01-0{day}T00-00-00.000.log").touch()
    log = access_log.Log(folder, largest=400)
    for number in range(7):
        log.write(Request(scope), 200, number, 0.5)
    kept = sorted(one.name for one in (folder / "logs").iterdir())
    assert len(kept) == access_log.KEPT + 1 and kept[-1] == "access.log"
    assert not any(name.startswith("access-2020-01-01") for name in kept)
    lines = [json.loads(line) for name in kept for line in (folder / "logs" / name).read_text().splitlines()]
    assert [one["size"] for one in lines] == list(range(7))
    assert lines[0]["request"]["uri"] == "/\xff"
