"""What every edge does with a release that is a running program: real programs on real unix sockets."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import select
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from edge_support import App, Edge, Site, make_site, parse, run_app, start_edge, until

from gitdeploy.process import Command, start
from gitdeploy.runtime.edge import driver
from gitdeploy.runtime.routes import Routes
from gitdeploy.store.home import Home

Run = Callable[..., App]


@contextlib.contextmanager
def talk(site: Site) -> Iterator[socket.socket]:
    with socket.create_connection(site.edge.address, timeout=20) as connection:
        yield connection


def head(site: Site, path: str, *lines: str, method: str = "GET") -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", f"Host: {site.host}", *lines, "", ""]).encode()


def read_until(connection: socket.socket, mark: bytes) -> bytes:
    said = b""
    while mark not in said:
        part = connection.recv(1 << 16)
        assert part, said
        said += part
    return said


def read_all(connection: socket.socket) -> bytes:
    parts = []
    while part := connection.recv(1 << 16):
        parts.append(part)
    return b"".join(parts)


def told(site: Site, path: str = "/said", method: str = "GET", *lines: str) -> tuple[dict, dict[str, str]]:
    """What arrived at the app: everything, and its headers by their lower case names."""
    answer = parse(site.edge.raw(head(site, path, *lines, "Connection: close", method=method)), method)
    assert answer.status == 200, answer
    arrived = json.loads(answer.body)
    return arrived, {name.lower(): value for name, value in arrived["headers"]}


# --- requests -----------------------------------------------------------------------------------------


def test_a_request_arrives_as_it_was_sent(site: Site, run: Run) -> None:
    run("r1")
    arrived, headers = told(site, "/said?a=%20b&c", "PATCH", "X-Mine: one", "Cookie: a=b; c=d", "Accept: */*")
    assert (arrived["method"], arrived["target"]) == ("PATCH", "/said?a=%20b&c")
    assert headers["host"] == site.host
    assert (headers["x-mine"], headers["cookie"], headers["accept"]) == ("one", "a=b; c=d", "*/*")


def test_the_app_learns_who_asks_and_nobody_can_lie_about_it(site: Site, run: Run) -> None:
    run("r1")
    lies = [
        "X-Forwarded-For: 6.6.6.6", "X-Forwarded-Host: evil.example", "X-Forwarded-Proto: https", "Forwarded: for=6",
        "X-Real-IP: 6.6.6.6", "X_Forwarded_For: 6.6.6.6", "X-Forwarded-Prefix: /evil", "X-Forwarded_Port: 6",
        "Proxy: http://evil.example", "Connection: X-Forwarded-For, X-Forwarded-Host, Host",
    ]  # fmt: skip
    arrived, headers = told(site, "/said", "GET", *lies)
    assert "6" not in "".join(
        v for n, v in arrived["headers"] if n.lower() not in ("host", "x-forwarded-host")
    )
    assert not any("evil" in value for _, value in arrived["headers"])
    assert headers["x-forwarded-for"] == "127.0.0.1"
    assert headers["x-forwarded-proto"] == "http"
    assert headers["x-forwarded-host"] == site.host


def test_what_is_said_of_the_connection_stays_there(site: Site, run: Run) -> None:
    run("r1")
    _, headers = told(
        site,
        "/said",
        "GET",
        "Connection: X-Secret, keep-alive",
        "X-Secret: 1",
        "TE: trailers",
        "Keep-Alive: 5",
    )
    assert not {"x-secret", "keep-alive"} & headers.keys()
    answer = site.get("/hops")
    assert not {"x-mine", "keep-alive", "upgrade"} & answer.headers.keys()
    assert answer.body == b"x"


@pytest.mark.parametrize("size", [0, 1, 5_000, 300_000])
@pytest.mark.parametrize("chunked", [False, True])
def test_bodies_of_any_size_arrive_whole(site: Site, run: Run, size: int, chunked: bool) -> None:
    run("r1")
    body = os.urandom(size)
    if chunked:
        lines, sent = ["Transfer-Encoding: chunked"], b""
        for begin in range(0, size, 70_001):
            part = body[begin : begin + 70_001]
            sent += b"%x\r\n%b\r\n" % (len(part), part)
        sent += b"0\r\n\r\n"
    else:
        lines, sent = [f"Content-Length: {size}"], body
    answer = parse(site.edge.raw(head(site, "/upload", *lines, "Connection: close", method="PUT") + sent))
    assert json.loads(answer.body) == [size, hashlib.sha256(body).hexdigest()]


def test_head_and_answers_without_a_body(site: Site, run: Run) -> None:
    run("r1")
    answer = site.get("/", "HEAD")
    assert (answer.status, answer.body, int(answer.headers["content-length"])) == (200, b"", 3072)
    with talk(site) as connection:  # kept: a wrong end would show in the next answer
        for path, method, status in (
            ("/", "HEAD", 200),
            ("/empty/204", "GET", 204),
            ("/empty/304", "GET", 304),
        ):
            connection.sendall(head(site, path, method=method))
            said = parse(read_until(connection, b"\r\n\r\n"), "HEAD")
            assert (said.status, said.body) == (status, b"")
            assert status == 200 or said.headers["etag"] == "x"
        connection.sendall(head(site, "/"))
        read_until(connection, b".[r1]")


def test_a_client_that_asks_first_is_told_to_go_on(site: Site, run: Run) -> None:
    run("r1")
    with talk(site) as connection:
        connection.sendall(head(site, "/upload", "Content-Length: 5", "Expect: 100-continue", method="POST"))
        assert read_until(connection, b"\r\n\r\n").startswith(b"HTTP/1.1 100")
        connection.sendall(b"hello")
        assert b'[5, "' in read_until(connection, b"]")


def test_an_answer_that_comes_before_the_body_was_read_is_passed_on(site: Site, run: Run) -> None:
    """Even if the app closes at once; Caddy makes a 502 of that, unless the app reads what is still coming."""
    run("r1")
    for _ in range(5):
        with talk(site) as connection:
            sending = threading.Thread(target=send_while_it_is_read, args=(connection, 9_000_000))
            path = "/early?rude" if site.edge.kind == "embedded" else "/early"
            connection.sendall(head(site, path, "Content-Length: 9000000", method="POST"))
            sending.start()
            try:
                assert read_until(connection, b"too large").startswith(b"HTTP/1.1 413 ")
            finally:
                connection.shutdown(socket.SHUT_RDWR)
                sending.join()


def send_while_it_is_read(connection: socket.socket, count: int) -> None:
    with contextlib.suppress(OSError):
        connection.sendall(bytes(count))


def test_interim_answers_do_not_end_a_request(site: Site, run: Run) -> None:
    run("r1")
    raw = site.edge.raw(head(site, "/interim", "Connection: close"))
    while raw.startswith(b"HTTP/1.1 1"):
        raw = raw.partition(b"\r\n\r\n")[2]
    assert parse(raw).body == b"[r1]"


def test_http_1_0_and_an_answer_that_ends_with_its_connection(site: Site, run: Run) -> None:
    run("r1")
    body = b"[r1]" + b"-" * 100_000 + b"[r1]"
    assert site.get("/until-closed").body == body
    old = parse(site.edge.raw(f"GET /until-closed HTTP/1.0\r\nHost: {site.host}\r\n\r\n".encode()))
    assert (old.status, old.body) == (200, body)
    assert "transfer-encoding" not in old.headers


SMUGGLED = [
    ["Content-Length: 5", "Transfer-Encoding: chunked"],
    ["Transfer-Encoding: chunked", "Content-Length: 5"],
    ["Content-Length: 5", "Content-Length: 6"],
    ["Content-Length: +5"],
    ["Content-Length: 5, 6"],
    ["Content-Length: 0x5"],
    ["Content-Length: -5"],
    ["Content-Length: 99999999999999999999999"],
    ["Content-Length : 5"],
    ["Transfer-Encoding: xchunked"],
    ["Transfer-Encoding: chunked, identity"],
    ["Transfer-Encoding: identity"],
    ["Transfer-Encoding: gzip, chunked"],
    ["Transfer-Encoding: \x0bchunked"],
    ["Transfer-Encoding: chunked", "Transfer-Encoding: identity"],
    ["X: a\r\n Transfer-Encoding: chunked", "Content-Length: 0"],
    ["X: a\rTransfer-Encoding: chunked", "Content-Length: 0"],
]


@pytest.mark.parametrize("lines", SMUGGLED, ids=lambda lines: lines[0][:30].strip())
def test_nothing_is_smuggled_past_the_edge(site: Site, run: Run, lines: list[str]) -> None:
    """What the edge takes for one request is one to the app too. Go reads some of these in the one way that is
    safe (chunks before a length, a folded line as one header) and writes them anew; the rest is refused.
    """
    run("r1")
    sent = head(site, "/said", *lines, method="POST") + b"0\r\n\r\n" + head(site, "/", "Connection: close")
    with talk(site) as connection:
        connection.sendall(sent)
        said = read_until(connection, b"\r\n\r\n")
        if said.startswith(b"HTTP/1.1 200 ") and site.edge.kind == "caddy":
            said += read_until(connection, b"}") if b"}" not in said else b""
            arrived = json.loads(said[said.index(b"{") : said.index(b"}") + 1])
            names = [name.lower() for name, _ in arrived["headers"]]
            assert arrived["behind"] == ""
            assert (names.count("content-length"), names.count("transfer-encoding")) in ((1, 0), (0, 1))
        else:
            assert said.split()[1] in (b"400", b"501"), said


@pytest.mark.parametrize("line", [b"X: " + b"a" * 70_000 + b"\r\n", b"X: a\r\n" * 12_000])
def test_a_head_that_is_too_long_is_said_to_be(site: Site, run: Run, line: bytes) -> None:
    run("r1")
    with talk(site) as connection:
        connection.sendall(f"GET / HTTP/1.1\r\nHost: {site.host}\r\n".encode() + line + b"\r\n")
        assert read_until(connection, b"\r\n\r\n").split()[1] == b"431"


def test_a_large_first_packet_is_no_long_head(site: Site, run: Run) -> None:
    run("r1")
    with talk(site) as connection:
        connection.sendall(head(site, "/upload", "Content-Length: 250000", method="POST") + bytes(250_000))
        assert b"[250000, " in read_until(connection, b"]")


# --- answers ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/events", "/stream"])
def test_a_stream_is_passed_on_as_it_comes(site: Site, run: Run, path: str, tmp_path: Path) -> None:
    run("r1")
    with talk(site) as connection:
        connection.sendall(head(site, path, f"X-Wait: {tmp_path}/go"))
        read_until(connection, b"r1 one\n\n")
        (tmp_path / "go").touch()
        read_until(connection, b"r1 two\n\n")
        connection.sendall(head(site, "/"))
        assert b"X-Release: r1" in read_until(connection, b".[r1]").replace(b"x-release", b"X-Release")


def test_an_app_learns_that_its_visitor_has_gone(site: Site, run: Run, tmp_path: Path) -> None:
    run("r1")
    with talk(site) as connection:
        connection.sendall(head(site, "/gone", f"X-Wait: {tmp_path}/noticed"))
        read_until(connection, b"here\n")
    until((tmp_path / "noticed").exists)


@pytest.mark.parametrize("path", ["/die/counted", "/die/chunked"])
def test_an_answer_that_breaks_off_is_an_error_to_the_visitor(site: Site, run: Run, path: str) -> None:
    """Except a chunked one behind Caddy 2.6, which ends it as if it were whole (docs/serving.md)."""
    run("r1")
    with talk(site) as connection:
        connection.sendall(head(site, path))
        try:
            said = read_all(connection) if (site.edge.kind, path) != ("caddy", "/die/chunked") else b""
        except ConnectionError:
            said = b""
    assert not said.endswith(b"0\r\n\r\n")
    if path == "/die/counted":
        assert b"1000" in said and len(said.partition(b"\r\n\r\n")[2]) < 1000


def test_an_app_that_breaks_off_towards_http_1_0_resets_the_connection(
    edges: Callable[..., Edge], apps: Run
) -> None:
    site = make_site(edges("embedded"))
    apps(site, "r1")
    with talk(site) as connection:
        connection.sendall(f"GET /die/chunked HTTP/1.0\r\nHost: {site.host}\r\n\r\n".encode())
        with pytest.raises(ConnectionResetError):
            read_all(connection)


@pytest.mark.parametrize("path", ["/nonsense", "/silent", "/endless-head"])
def test_an_app_that_says_nothing_sensible_is_a_clean_502(
    site: Site, run: Run, path: str, tmp_path: Path
) -> None:
    run("r1")
    for method in ("GET", "POST"):
        answer = site.get(path, method, x_wait=str(tmp_path / "asked"))
        assert (answer.status, answer.headers["cache-control"]) == (502, "no-store"), answer
        assert b"No answer" in answer.body
    assert site.get("/").status == 200


def test_only_what_does_no_harm_is_asked_again_and_not_often(site: Site, run: Run, tmp_path: Path) -> None:
    run("r1")
    asked = tmp_path / "asked"
    site.get("/silent", "POST", x_wait=str(asked))
    assert asked.read_text().count("asked") == 1
    site.get("/silent", x_wait=str(asked))
    assert 2 <= asked.read_text().count("asked") - 1 <= 3


def test_noindex_is_said_for_an_app_as_well(site: Site, run: Run) -> None:
    run("r1")
    Routes(site.edge.home).add(f"f--{site.host}", site.name, "production")
    for path in ("/", "/hops", "/nonsense"):
        answer = site.edge.get(f"f--{site.host}", path)
        assert [value for name, value in answer.every if name == "x-robots-tag"] == ["noindex"]
    assert site.get("/hops").headers["x-robots-tag"] == "all"


# --- websockets ---------------------------------------------------------------------------------------

UPGRADE = ("Connection: keep-alive, Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: abc")


def open_websocket(site: Site, connection: socket.socket, more: bytes = b"") -> bytes:
    connection.sendall(head(site, "/ws", *UPGRADE) + more)
    said = read_until(connection, b"]")
    assert said.startswith(b"HTTP/1.1 101 ") and b"abc" in said
    assert b"upgrade: websocket" in said.lower()
    return said


def echo(connection: socket.socket, data: bytes) -> bool:
    threading.Thread(target=connection.sendall, args=(data,)).start()
    said = b""
    while len(said) < len(data):
        part = connection.recv(1 << 16)
        assert part
        said += part
    return said == data


def test_after_a_switch_of_protocols_bytes_pass_both_ways(site: Site, run: Run) -> None:
    run("r1")
    with talk(site) as connection:
        open_websocket(site, connection)
        assert echo(connection, b"\x00GET / HTTP/1.1\r\n\r\n\xff")
        assert echo(connection, os.urandom(5_000_000))


def test_what_is_sent_before_the_answer_is_not_lost(edges: Callable[..., Edge], apps: Run) -> None:
    """A websocket's client must wait; Caddy 2.6 drops what one that does not has sent."""
    site = make_site(edges("embedded"))
    apps(site, "r1")
    with talk(site) as connection:
        connection.sendall(head(site, "/ws", *UPGRADE) + b"early")
        read_until(connection, b"[r1]early")


def test_a_tunnel_ends_when_either_side_does(site: Site, run: Run) -> None:
    app = run("r1")
    with talk(site) as connection:
        open_websocket(site, connection)
    app.leave()
    app.process.wait(20)  # it waits for its last connection
    app = run("r1")
    with talk(site) as connection:
        open_websocket(site, connection)
        app.kill()
        assert connection.recv(10) == b""


def test_an_upgrade_the_app_does_not_want_is_an_ordinary_request(site: Site, run: Run) -> None:
    run("r1")
    assert b"[r1]" in site.edge.raw(head(site, "/", "Connection: Upgrade, close", "Upgrade: websocket"))
    h2c = ("Connection: Upgrade, HTTP2-Settings, close", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__")
    answer = parse(site.edge.raw(head(site, "/said", *h2c)))
    assert answer.status == 200
    assert not {"upgrade", "http2-settings"} & {
        name.lower() for name, _ in json.loads(answer.body)["headers"]
    }


# --- switches -----------------------------------------------------------------------------------------


def test_a_kept_connection_reaches_the_new_release_with_its_next_request(site: Site, run: Run) -> None:
    run("r1")
    with talk(site) as connection:
        for slot in ("r1", "r2", "r3"):
            if slot != "r1":
                run(slot)
            connection.sendall(head(site, "/"))
            assert read_until(connection, b".[" + slot.encode() + b"]")
        site.release("r4", {"index.html": "[r4] files"})
        connection.sendall(head(site, "/"))
        assert read_until(connection, b"[r4] files")
        site.production.point("r2")
        connection.sendall(head(site, "/"))
        assert read_until(connection, b".[r2]")


def test_what_is_under_way_is_finished_by_the_release_it_began_in(
    site: Site, run: Run, tmp_path: Path
) -> None:
    old = run("r1")
    with talk(site) as tunnel, talk(site) as stream, talk(site) as slow, talk(site) as upload:
        open_websocket(site, tunnel)
        stream.sendall(head(site, "/events", f"X-Wait: {tmp_path}/go"))
        read_until(stream, b"r1 one\n\n")
        slow.sendall(head(site, "/slow", f"X-Wait: {tmp_path}/go"))
        upload.sendall(head(site, "/", "Content-Length: 200000", method="POST") + bytes(100_000))
        assert echo(tunnel, b"before")
        run("r2")
        old.leave()
        until(lambda: not (site.production.slot_folder("r1") / "web.sock").exists())
        assert b"[r2]" in site.get("/").body
        assert echo(tunnel, b"after")
        (tmp_path / "go").touch()
        read_until(stream, b"r1 two\n\n")
        read_until(slow, b"[r1]")
        upload.sendall(bytes(100_000))
        said = read_until(upload, b".[r1]")
        assert hashlib.sha256(bytes(200_000)).hexdigest().encode() in said
    assert old.process.wait(20) == 0


def test_a_request_waits_for_an_app_that_is_starting_again(site: Site, run: Run) -> None:
    app = run("r1")
    for leave in (app.leave, None):  # with its socket gone, and with one that nobody listens at
        if leave:
            leave()
            app.process.wait()
        else:
            app.kill()
        answers: list[bytes] = []
        begun = threading.Event()

        def ask(
            answers: list[bytes] = answers, begun: threading.Event = begun, gone: bool = bool(leave)
        ) -> None:
            with talk(site) as connection:
                body = (
                    head(site, "/", "Content-Length: 5", method="POST") + b"hello"
                    if gone
                    else head(site, "/")
                )
                connection.sendall(body)
                begun.set()
                answers.append(read_until(connection, b".[r1]"))

        asking = threading.Thread(target=ask)
        asking.start()
        begun.wait()
        app = run("r1")
        asking.join(20)
        assert answers and answers[0].startswith(b"HTTP/1.1 200")


def test_an_app_that_stays_away_is_a_clean_503(site: Site, run: Run) -> None:
    for gone in (App.leave, App.kill):
        app = run("r1")
        gone(app)
        app.process.wait()
        answer = site.get("/")
        assert (answer.status, answer.headers["cache-control"]) == (503, "no-store")
        assert answer.headers["retry-after"] == "5"
        assert b"Back in a moment" in answer.body


@pytest.mark.soak
def test_two_hundred_switches_of_an_app_under_load_lose_and_mix_nothing(site: Site, tmp_path: Path) -> None:
    """Each new release is a process of its own; the old one leaves the moment it has been followed."""
    current = run_app(site, "b", "0")
    site.production.point("b")
    leaving: list[App] = []
    stop = tmp_path / "stop"
    host, port = site.edge.address
    argv = (
        sys.executable,
        str(Path(__file__).with_name("app_reader.py")),
        host,
        str(port),
        site.host,
        str(stop),
    )
    with open(tmp_path / "out", "wb") as out:
        reading = start(Command(argv), stdout=out, stderr=out)
        try:
            until((tmp_path / "stop.begun").exists)
            for number in range(1, 201):
                for app in leaving:
                    assert app.process.wait(20) == 0
                leaving = [current]
                current = run_app(site, "ab"[number % 2], str(number))
                site.production.point(current.slot)
                leaving[0].leave()
            stop.touch()
            assert reading.wait(30) == 0
        finally:
            reading.kill()
            for app in (*leaving, current):
                app.kill()
    said = (tmp_path / "out").read_text()
    requests, failed, mixed, releases = map(int, said.split()[-4:])
    assert (failed, mixed) == (0, 0), said
    assert requests > 400 and releases > 100


# --- weight -------------------------------------------------------------------------------------------


def peak(pids: tuple[int, ...]) -> int:
    """The most memory each has held since `forget_peak`, added up, in bytes."""
    lines = [line for pid in pids for line in Path(f"/proc/{pid}/status").read_text().splitlines()]
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def forget_peak(pids: tuple[int, ...]) -> int:
    for pid in pids:
        Path(f"/proc/{pid}/clear_refs").write_text("5")
    return peak(pids)


@pytest.mark.parametrize("chunked", [False, True])
def test_a_large_upload_waits_for_its_app_and_not_in_memory(
    site: Site, run: Run, tmp_path: Path, chunked: bool
) -> None:
    run("r1")
    pids = driver.status(site.edge.home).pids
    before = forget_peak(pids)
    size, part = 100_000_000, bytes(1_000_000)
    framing = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {size}"
    packet = b"f4240\r\n" + part + b"\r\n" if chunked else part
    data = memoryview(packet * 100 + (b"0\r\n\r\n" if chunked else b""))
    with talk(site) as connection:
        connection.sendall(head(site, "/upload", framing, f"X-Wait: {tmp_path}/go", method="POST"))
        connection.setblocking(False)
        while select.select([], [connection], [], 1)[1]:
            data = data[connection.send(data) :]
        assert len(data) > size // 2  # nobody takes any more
        (tmp_path / "go").touch()
        connection.settimeout(30)
        connection.sendall(data)
        said = read_until(connection, b"]")
    assert hashlib.sha256(bytes(size)).hexdigest().encode() in said
    assert peak(pids) - before < 30_000_000


def test_a_large_answer_waits_for_its_visitor_and_not_in_memory(site: Site, run: Run, tmp_path: Path) -> None:
    run("r1")
    pids = driver.status(site.edge.home).pids
    before = forget_peak(pids)
    with talk(site) as connection:
        connection.sendall(
            head(site, "/large", "X-Size: 200000000", f"X-Wait: {tmp_path}/stalled", "Connection: close")
        )
        until((tmp_path / "stalled").exists)
        total = 0
        while part := connection.recv(1 << 20):
            total += len(part)
    assert total > 200_000_000
    assert peak(pids) - before < 30_000_000


def test_many_tunnels_at_once(home: Home, apps: Run) -> None:
    """More than the 1,024 open files that a process may have unless it asks for more."""
    site = make_site(start_edge(home, "embedded"))
    apps(site, "r1")
    with contextlib.ExitStack() as tunnels:
        opened = []
        for _ in range(700):
            opened.append(tunnels.enter_context(socket.create_connection(site.edge.address, timeout=20)))
            open_websocket(site, opened[-1])
        assert all(echo(tunnel, b"x") for tunnel in (opened[0], opened[-1]))
