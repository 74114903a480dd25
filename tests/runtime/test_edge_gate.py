"""Maintenance, passwords and the assets of recent releases: files say so, and both edges obey at once."""

from __future__ import annotations

import base64
import os
import socket
import stat
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from edge_support import App, Edge, Site, make_site, make_tree

from gitdeploy.domain.gate import Maintenance, Password, network
from gitdeploy.domain.place import RECENT
from gitdeploy.domain.serving import Rules, parse_headers
from gitdeploy.errors import Invalid
from gitdeploy.runtime.routes import Routes
from gitdeploy.runtime.slots import Environment
from gitdeploy.store.home import Home

Run = Callable[..., App]


def basic(secret: str, user: str = "anybody") -> str:
    return "Basic " + base64.b64encode(f"{user}:{secret}".encode()).decode()


# --- maintenance --------------------------------------------------------------------------------------


def test_maintenance_is_a_503_with_the_owners_words_and_ends_as_it_began(site: Site) -> None:
    site.release("r1", {"index.html": "home", "x.css": "x"})
    site.production.maintenance("We move <b>house</b> & are back soon.\nThe owners")
    for method, path in (
        ("GET", "/"),
        ("GET", "/x.css"),
        ("GET", "/nope"),
        ("HEAD", "/"),
        ("POST", "/"),
        ("PUT", "/a"),
    ):
        answer = site.get(path, method)
        assert (answer.status, answer.headers["retry-after"]) == (503, "60")
        assert answer.headers["cache-control"] == "no-store"
        assert (
            method == "HEAD"
            or b"We move &lt;b&gt;house&lt;/b&gt; &amp; are back soon.\nThe owners" in answer.body
        )
    site.production.maintenance("Others words")
    assert b"Others words" in site.get().body
    site.production.maintenance(None)
    site.production.maintenance(None)
    assert (site.get().status, site.get().body) == (200, b"home")


def test_maintenance_stands_before_apps_rules_and_nothing_at_all(site: Site, run: Run) -> None:
    site.production.maintenance("closed")
    assert (site.get().status, b"closed" in site.get().body) == (503, True)
    site.release("r1", {"index.html": "x"}, Rules(spa=True))
    assert site.get("/any").status == 503
    run("r2")
    assert site.get().status == 503
    assert site.get("/ws", connection="Upgrade", upgrade="websocket").status == 503
    site.production.maintenance(None)
    assert b"[r2]" in site.get().body


def test_maintenance_closes_one_environment_under_all_its_names_and_no_other(site: Site) -> None:
    site.release("r1", {"index.html": "x"})
    Routes(site.edge.home).add(f"www.{site.host}", site.name, "production")
    staging = Environment(site.edge.home, site.name, "staging")
    staging.prepare("r1", make_tree(site.edge.home, {"index.html": "staging"}), Rules())
    staging.point("r1")
    Routes(site.edge.home).add(f"staging--{site.host}", site.name, "staging")
    site.production.maintenance("closed")
    assert (site.get().status, site.edge.get(f"www.{site.host}").status) == (503, 503)
    assert site.edge.get(site.host.upper() + ".").status == 503
    assert site.edge.get(f"staging--{site.host}").body == b"staging"


def test_those_who_work_on_it_are_let_in(site: Site, run: Run) -> None:
    run("r1")
    for allowed in ("127.0.0.1", "127.0.0.0/8"):
        site.production.maintenance("closed", allow=["2001:db8::/32", allowed])
        assert b"[r1]" in site.get().body
    site.production.maintenance("closed", allow=["192.0.2.1"])
    lies = {"x_forwarded_for": "192.0.2.1", "forwarded": "for=192.0.2.1", "x_real_ip": "192.0.2.1"}
    assert site.get("/", **lies).status == 503


def test_retry_after_counts_to_the_moment_that_was_named(site: Site) -> None:
    then = datetime.now(UTC) + timedelta(hours=1)
    site.production.maintenance("closed", until=then.isoformat())
    assert 3500 < int(site.get().headers["retry-after"]) <= 3600
    site.production.maintenance("closed", until="2001-01-01T00:00:00Z")
    assert (site.get().status, site.get().headers["retry-after"]) == (503, "1")


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b"null", b'{"allow": 7}', b'{"allow": ["x"]}', b"\xff"])
def test_a_damaged_maintenance_file_keeps_the_site_closed(site: Site, damage: bytes) -> None:
    site.release("r1", {"index.html": "x"})
    (site.production.folder / "maintenance.json").write_bytes(damage)
    assert (site.get().status, b"Back soon" in site.get().body) == (503, True)


def test_what_cannot_be_meant_is_refused(tmp_path: Path) -> None:
    env = Environment(Home(tmp_path), "blog", "production")
    for until in ("tomorrow", "2030-01-01T00:00:00"):
        with pytest.raises(Invalid, match="no moment"):
            env.maintenance("x", until=until)
    with pytest.raises(Invalid, match="'localhost' is no address"):
        env.maintenance("x", allow=["localhost"])
    with pytest.raises(Invalid, match="empty"):
        env.password("")
    assert not env.folder.exists()


def test_an_address_is_the_same_in_its_longer_form() -> None:
    closed = Maintenance(allow=("192.0.2.7", "2001:db8::/32"))
    for visitor in ("192.0.2.7", "::ffff:192.0.2.7", "2001:db8::1"):
        assert closed.admits(visitor)
    for visitor in ("192.0.2.8", "::1", "", "unknown", "192.0.2.7, 192.0.2.8"):
        assert not closed.admits(visitor)


# --- passwords ----------------------------------------------------------------------------------------


def test_a_password_is_asked_for_and_any_user_may_bring_it(site: Site) -> None:
    site.release("r1", {"index.html": "secret", "404.html": "also secret"})
    site.production.password("öpen: sesame")
    for headers in ({}, {"authorization": basic("wrong")}, {"authorization": basic("")}):
        for path in ("/", "/nope"):
            answer = site.get(path, **headers)
            assert (answer.status, answer.headers["cache-control"]) == (401, "no-store")
            assert answer.headers["www-authenticate"].startswith("Basic realm=")
            assert b"secret" not in answer.body
    for user in ("me", "", "you"):
        assert site.get(authorization=basic("öpen: sesame", user)).body == b"secret"
    site.production.password("changed")
    assert site.get(authorization=basic("öpen: sesame")).status == 401
    assert site.get(authorization=basic("changed")).status == 200
    site.production.password(None)
    site.production.password(None)
    assert site.get().body == b"secret"


@pytest.mark.parametrize(
    "header",
    [
        "Basic",
        "Basic x",
        "Basic ====",
        "Bearer abc",
        "Basic " + base64.b64encode(b"open").decode(),
        "Digest a",
    ],
)
def test_odd_credentials_are_no_credentials(site: Site, header: str) -> None:
    site.release("r1", {"index.html": "x"})
    site.production.password("open")
    assert site.get(authorization=header).status == 401


def test_what_a_password_guards_is_kept_by_nobody_on_the_way(site: Site) -> None:
    site.release("r1", {"index.html": "x", "app.3f2a9c1b.js": "x", "d/index.html": "d"})
    site.production.password("open")
    for path, status in (("/", 200), ("/app.3f2a9c1b.js", 200), ("/d", 308)):
        answer = site.get(path, authorization=basic("open"))
        assert answer.status == status
        assert [value for name, value in answer.every if name == "cache-control"] == ["private, no-cache"]
    assert site.get("/nope", authorization=basic("open")).headers["cache-control"] == "no-store"


def test_an_app_behind_a_password_is_reached_and_never_told_it(site: Site, run: Run) -> None:
    run("r1")
    site.production.password("open")
    assert site.get("/said", "POST").status == 401
    answer = site.get("/said", "POST", authorization=basic("open"), x_mine="1")
    assert answer.status == 200 and b"X-Mine" in answer.body.replace(b"x-mine", b"X-Mine")
    assert b"uthorization" not in answer.body and b"127.0.0.1" in answer.body
    site.production.password(None)
    assert b"Bearer mine" in site.get("/said", authorization="Bearer mine").body
    site.production.password("open")
    with socket.create_connection(site.edge.address, timeout=20) as connection:
        lines = f"GET /ws HTTP/1.1\r\nHost: {site.host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        connection.sendall(f"{lines}Authorization: {basic('open')}\r\n\r\n".encode())
        said = b""
        while b"[r1]" not in said:
            said += connection.recv(1000)
        assert said.startswith(b"HTTP/1.1 101")
        connection.sendall(b"hello")
        assert connection.recv(100) == b"hello"


def test_first_the_password_then_the_maintenance(site: Site) -> None:
    site.release("r1", {"index.html": "x"})
    site.production.password("open")
    site.production.maintenance("only for friends")
    assert site.get().status == 401
    assert b"only for friends" in site.get(authorization=basic("open")).body


@pytest.mark.parametrize("damage", ["", "open", "scrypt$1$2", "scrypt$x$8$1$00$00", "scrypt$16384$8$1$00$"])
def test_a_damaged_password_lets_nobody_in(site: Site, damage: str) -> None:
    site.release("r1", {"index.html": "secret"})
    (site.production.folder / "password").write_text(damage)
    for headers in ({}, {"authorization": basic("open")}, {"authorization": basic("")}):
        answer = site.get(**headers)
        assert answer.status == 500 and b"secret" not in answer.body


def test_a_password_is_kept_as_a_salted_hash_for_the_owner_alone(tmp_path: Path) -> None:
    env = Environment(Home(tmp_path), "blog", "production")
    written = set()
    for _ in range(2):
        env.password("open sesame")
        file = env.folder / "password"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        written.add(file.read_text())
    assert len(written) == 2 and not any("sesame" in text for text in written)
    assert all(Password.parse(text).fits(b"open sesame") for text in written)
    assert not any(Password.parse(text).fits(b"open sesam") for text in written)


# --- the assets of recent releases --------------------------------------------------------------------


def three_releases(site: Site, rules: Rules | None = None) -> None:
    site.release("r1", {"index.html": "1", "js/app.11111111a.js": "one", "a/style.css": "plain"}, rules)
    site.release("r2", {"index.html": "2", "js/app.22222222a.js": "two", "404.html": "ours"}, rules)
    site.release("r3", {"index.html": "3", "js/app.33333333a.js": "three", "404.html": "ours"}, rules)


@pytest.mark.parametrize("kind", ["files", "rules", "spa"])
def test_an_open_page_still_finds_its_hashed_assets(site: Site, kind: str) -> None:
    rules = {
        "files": None,
        "rules": Rules(headers=parse_headers("/js/*\n  X-Asset: yes")),
        "spa": Rules(spa=True),
    }
    three_releases(site, rules[kind])
    for name, body in (("11111111a", b"one"), ("22222222a", b"two"), ("33333333a", b"three")):
        answer = site.get(f"/js/app.{name}.js")
        assert (answer.status, answer.body) == (200, body)
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
        assert kind != "rules" or answer.headers["x-asset"] == "yes"
        known = answer.headers["etag"]
        assert site.get(f"/js/app.{name}.js", if_none_match=known).status == 304
        assert site.get(f"/js/app.{name}.js", "HEAD").status == 200


def test_only_a_name_with_a_hash_is_looked_for_and_a_missing_one_is_not_stored(site: Site) -> None:
    three_releases(site)
    for path in ("/a/style.css", "/js/app.44444444a.js", "/js/app.11111111a.js/", "/_headers.11111111a.js"):
        answer = site.get(path)
        assert (answer.status, answer.body, answer.headers["cache-control"]) == (404, b"ours", "no-store")
    assert site.get("/js/app.11111111a.js", "POST").status == 405


def test_assets_of_a_release_are_gone_an_hour_after_it_and_with_its_slot(site: Site) -> None:
    three_releases(site)
    past = time.time() - RECENT - 1
    os.utime(site.production.slot_folder("r1") / "left", (past, past))
    assert site.get("/js/app.11111111a.js").status == 404
    assert site.get("/js/app.22222222a.js").status == 200
    for slot in ("r1", "r2"):
        os.utime(site.production.slot_folder(slot), (past, past))
        os.utime(site.production.slot_folder(slot) / "left", (past, past))
    site.production.retire(set())
    assert site.production.slots() == ["r3"]
    assert site.get("/js/app.22222222a.js").status == 404


def test_what_was_never_live_is_never_shown(site: Site) -> None:
    three_releases(site)
    tree = make_tree(site.edge.home, {"js/app.55555555a.js": "not yet"})
    site.production.prepare("r4", tree, Rules())
    assert site.get("/js/app.55555555a.js").status == 404


def test_another_environments_assets_are_not_looked_for(edge: Edge) -> None:
    one, other = make_site(edge), make_site(edge)
    three_releases(one)
    other.release("r1", {"index.html": "x"})
    other.release("r2", {"index.html": "x"})
    assert other.get("/js/app.11111111a.js").status == 404


# --- known addresses ----------------------------------------------------------------------------------


def test_visitors_from_elsewhere_are_turned_away_before_anything_else(site: Site, run: Run) -> None:
    site.release("r1", {"index.html": "home", "404.html": "lost"})
    site.production.password("open")
    site.production.maintenance("closed")
    site.production.allow([network("192.0.2.0/24"), network("2001:db8::/32")])
    lies = {"x_forwarded_for": "192.0.2.1", "forwarded": "for=192.0.2.1", "x_real_ip": "192.0.2.1"}
    for headers in ({}, lies, {"authorization": basic("open")}):
        for path, method in (("/", "GET"), ("/nope", "HEAD"), ("/", "POST")):
            answer = site.get(path, method, **headers)
            assert (answer.status, answer.headers["cache-control"]) == (403, "no-store")
            assert b"home" not in answer.body
    assert site.edge.get(site.host.upper()).status == 403
    site.production.allow([network("127.0.0.0/8")])
    assert site.get().status == 401
    site.production.password(None)
    assert site.get().status == 503
    site.production.maintenance(None)
    assert site.get().body == b"home"
    run("r2")
    assert b"[r2]" in site.get().body
    site.production.allow([network("192.0.2.1")])
    assert site.get("/ws", connection="Upgrade", upgrade="websocket").status == 403
    assert site.production.allowed() == (network("192.0.2.1/32"),)
    site.production.allow([])
    site.production.allow([])
    assert b"[r2]" in site.get().body


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b"null", b'{"networks": 7}', b'{"networks": ["x"]}'])
def test_a_damaged_list_lets_nobody_in(site: Site, damage: bytes) -> None:
    site.release("r1", {"index.html": "x"})
    (site.production.folder / "allow.json").write_bytes(damage)
    assert site.get().status == 403
    with pytest.raises(Invalid):
        site.production.allowed()
