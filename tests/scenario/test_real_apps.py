"""Programs as people have them, deployed by a push: the usual frameworks, and programs with the usual faults."""

from __future__ import annotations

import contextlib
import http.client
import http.server
import os
import re
import socket
import subprocess
import threading
import zipfile
from functools import partial
from pathlib import Path

import pytest
from django_shop import DJANGO, PRICES
from scenario_support import Desk, Shared
from support import eventually

PACKAGES = ("flask", "gunicorn", "django", "fastapi", "uvicorn", "websockets")


@pytest.fixture(scope="module")
def shared(request):
    """With the edge that a server takes when it is not told which."""
    one = Shared(edge_driver="auto")
    request.addfinalizer(one.destroy)
    one.start()
    return one


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    """Where builds get packages from: fetched once, by the Python that builds will use, as this machine gets them."""
    folder = tmp_path_factory.mktemp("wheels")
    fetch = ["python3", "-m", "pip", "download", "-q", "--only-binary", ":all:", "-d", str(folder), *PACKAGES]
    done = subprocess.run(fetch, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    for wheel in folder.glob("[Dd]jango-*"):
        without_translations(wheel)

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    door = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder))
    threading.Thread(target=door.serve_forever, daemon=True).start()
    yield f"--no-index\n--find-links http://127.0.0.1:{door.server_port}/\n"
    door.shutdown()
    door.server_close()


def without_translations(wheel: Path) -> None:
    """They are four of five files of Django's, and each build would write them anew."""
    slim = wheel.with_suffix(".slim")
    with zipfile.ZipFile(wheel) as whole, zipfile.ZipFile(slim, "w") as out:
        for entry in whole.infolist():
            if not re.search(r"/locale/(?!en/)[^/]+/", entry.filename):
                out.writestr(entry, whole.read(entry))
    slim.replace(wheel)


def deploy(desk: Desk, **files: str) -> str:
    """Push what is in `files` (`app_py` is app.py) and what was written before; what git said."""
    desk.commit("change", **files)
    pushed = desk.push("main")
    assert pushed.ok, pushed.out
    return pushed.out


FLASK = """
import os
from flask import Flask, render_template

app = Flask(__name__)

@app.get("/")
def home():
    return render_template("home.html", release=os.environ["GITDEPLOY_RELEASE"])
"""


def test_flask_under_gunicorn(desk, index):
    desk.write("requirements.txt", index + "flask\ngunicorn\n")
    desk.write("Procfile", "web: gunicorn app:app --workers 2 --bind 127.0.0.1:$PORT\n")
    desk.write("templates/home.html", "<h1>cakes of {{ release }}</h1>")
    said = deploy(desk, app_py=FLASK)
    assert "healthy in" in said
    assert desk.page().text == "<h1>cakes of r1</h1>"
    assert "gunicorn" in desk.page().headers["server"]
    desk.write("Procfile", "web: gunicorn app:app --bind unix:$SOCKET\n")
    desk.write("templates/home.html", "<h1>pies of {{ release }}</h1>")
    deploy(desk)
    assert desk.page().text == "<h1>pies of r2</h1>"
    assert desk.push("HEAD:rollback/r1").ok
    assert desk.page().text == "<h1>cakes of r3</h1>"


@pytest.mark.soak
def test_django_keeps_its_database_and_migrates_it(desk, index):
    """In the ordinary run Django is in test_down_migration.py."""
    for path, text in DJANGO.items():
        desk.write(path, index + text if path == "requirements.txt" else text)
    assert "Applying shop.0001_initial... OK" in deploy(desk)

    def bake(name: str) -> str:
        host = {"Host": f"{desk.site}.localhost"}
        return desk.shared.fetch(desk.shared.edge, "/cakes", method="POST", data=name.encode(), **host).text

    assert bake("apple") == "apple"
    models, urls = (DJANGO[f"shop/{name}.py"] for name in ("models", "urls"))
    desk.write("shop/models.py", models + "    price = models.IntegerField(default=3, db_default=3)\n")
    desk.write("shop/urls.py", urls.replace("cake.name for", 'f"{cake.name}:{cake.price}" for'))
    desk.write("shop/migrations/0002_price.py", PRICES)
    assert "Applying shop.0002_price... OK" in deploy(desk)
    assert bake("plum") == "apple:3 plum:3"
    back = desk.push("HEAD:rollback/r1")
    assert back.ok and "Applying" not in back.out, back.out
    assert bake("lemon") == "apple plum lemon"
    again = desk.push("HEAD:redeploy/main")
    assert again.ok and "No migrations to apply" in again.out, again.out
    assert desk.page(path="/cakes").text == "apple:3 plum:3 lemon:3"


FASTAPI = """
import os
from fastapi import FastAPI, WebSocket, WebSocketDisconnect

app = FastAPI()
RELEASE = os.environ["GITDEPLOY_RELEASE"]

@app.get("/")
def home():
    return {"release": RELEASE}

@app.websocket("/talk")
async def talk(socket: WebSocket):
    await socket.accept()
    try:
        while True:
            await socket.send_text(RELEASE + " heard " + await socket.receive_text())
    except WebSocketDisconnect:
        pass
"""


def test_fastapi_talks_over_a_websocket(desk, index):
    desk.write("requirements.txt", index + "fastapi\nuvicorn\nwebsockets\n")
    desk.write("Procfile", "web: uvicorn app:app --port $PORT\n")
    deploy(desk, app_py=FASTAPI)
    assert desk.page().text == '{"release":"r1"}'
    with WebSocket(desk) as talk:
        assert talk.say("hello") == "r1 heard hello"
        assert talk.say("x" * 100) == "r1 heard " + "x" * 100
        deploy(desk, app_py=FASTAPI + "\n# and more\n")
        assert desk.page().text == '{"release":"r2"}'
        assert talk.say("still there?") == "r1 heard still there?"
    with WebSocket(desk) as talk:
        assert talk.say("and you?") == "r2 heard and you?"


class WebSocket:
    """A visitor's websocket (RFC 6455) to `/talk`; what is said stays shorter than 126 bytes."""

    def __init__(self, desk: Desk) -> None:
        host, port = desk.shared.edge.rsplit(":", 1)
        self._door = socket.create_connection((host, int(port)), timeout=20)
        self._door.sendall(
            f"GET /talk HTTP/1.1\r\nHost: {desk.site}.localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        self._file = self._door.makefile("rb")
        assert b" 101 " in self._file.readline()
        headers = http.client.parse_headers(self._file)
        assert headers["sec-websocket-accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

    def say(self, text: str) -> str:
        self._send(0x81, text.encode())
        kind, length = self._file.read(2)
        while kind == 0x89:  # a ping, which comes when a while has passed
            self._send(0x8A, self._file.read(length))
            kind, length = self._file.read(2)
        assert kind == 0x81
        return self._file.read(length).decode()

    def _send(self, kind: int, said: bytes) -> None:
        mask = os.urandom(4)
        masked = bytes(byte ^ mask[place % 4] for place, byte in enumerate(said))
        self._door.sendall(bytes((kind, 0x80 | len(said))) + mask + masked)

    def __enter__(self) -> WebSocket:
        return self

    def __exit__(self, *_: object) -> None:
        self._send(0x88, b"")
        self._file.close()
        self._door.close()


NODE = """
const http = require('node:http');
http.createServer((asked, answer) => {
  let sent = 0;
  asked.on('data', (part) => { sent += part.length; });
  asked.on('end', () => answer.end(`${process.env.GITDEPLOY_RELEASE} ${asked.method} ${sent}`));
}).listen(process.env.PORT);
"""


def test_a_node_server(desk):
    desk.write("package.json", '{"name": "shop", "private": true, "scripts": {"start": "node server.js"}}')
    desk.write("Procfile", "web: node server.js\n")
    deploy(desk, server_js=NODE)
    assert desk.page().text == "r1 GET 0"
    body, host = b"x" * 3_000_000, {"Host": f"{desk.site}.localhost"}
    sent = desk.shared.fetch(desk.shared.edge, "/", method="POST", data=body, **host)
    assert sent.text == "r1 POST 3000000"


PLAIN = """
import http.server, os, signal, subprocess, sys, time

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        text = self.said().encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def said(self):
        return f"{os.environ['GITDEPLOY_RELEASE']} {os.environ['PORT']}"

    def log_message(self, *words):
        pass

BEGIN
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""


def plain(desk: Desk, begin: str = "", *, settings: str = "") -> None:
    """A small server that does `begin` before it listens; `settings` are more of its [processes] entry."""
    desk.write("app.py", PLAIN.replace("BEGIN", begin))
    desk.write("gitdeploy.toml", f'[processes]\nweb = {{ command = "exec python3 app.py"{settings} }}\n')


def test_a_worker_needs_no_port_and_its_address_says_so_at_once(desk):
    plain(desk)
    deploy(desk)
    desk.write("gitdeploy.toml", "")
    desk.write("Procfile", "worker: while true; do echo at work; sleep 1; done\n")
    assert "worker.1 runs" in deploy(desk)
    eventually(lambda: "r2 worker.1 | at work" in logs(desk))
    for method in ("GET", "POST"):
        page = desk.shared.fetch(desk.shared.edge, "/", method=method, Host=f"{desk.site}.localhost")
        assert page.status == 404 and "has no pages" in page.text
    assert desk.push("HEAD:rollback/r1").ok
    assert desk.page().text.startswith("r3 ")


def test_an_app_that_needs_long_to_start_is_waited_for_while_the_old_one_serves(desk):
    plain(desk)
    deploy(desk)
    plain(desk, "time.sleep(3)")
    desk.commit("slow")
    push = desk.start("push", "managed", "main")
    asked = 0
    while push.process.poll() is None:
        assert re.match("r[12] ", desk.page().text)
        asked += 1
    pushed = push.end()
    assert pushed.ok and re.search(r"healthy in ([3-9]|1\d)\.\d s", pushed.out), pushed.out
    assert asked > 20
    assert desk.page().text.startswith("r2 ")


def test_an_app_that_never_becomes_healthy_never_serves(desk):
    plain(desk)
    deploy(desk)
    before = desk.page().text
    plain(desk, "print('waiting for the moon'); time.sleep(3600)")
    desk.write("gitdeploy.toml", (desk.folder / "gitdeploy.toml").read_text() + '[health]\ntimeout = "2s"\n')
    desk.commit("never")
    pushed = desk.push("main")
    assert pushed.code == 1
    assert "did not become healthy within 2 s" in pushed.out and "waiting for the moon" in pushed.out
    assert desk.page().text == before
    eventually(lambda: not there(desk, "r2", "keeper.lock"))


def test_an_app_that_does_not_listen_to_sigterm_is_killed_after_its_time(desk):
    plain(desk, "signal.signal(signal.SIGTERM, signal.SIG_IGN)", settings=', stop_timeout = "1s"')
    deploy(desk)
    first = of_machine("environ", f"GITDEPLOY_SITE={desk.site}")
    assert first
    plain(desk)
    deploy(desk)
    assert desk.page().text.startswith("r2 ")
    eventually(lambda: not first & of_machine("environ", "GITDEPLOY_SITE"))
    assert "r1 web.1 * web.1 did not end within 1 s: killed" in logs(desk)


def test_an_app_that_leaks_memory_is_ended_at_its_limit_and_started_again(desk):
    leak = """
import threading
def leak():
    kept = []
    while True:
        try:
            kept.append(b"x" * 1_000_000)
        except MemoryError:
            os._exit(9)
        time.sleep(0.002)
if not os.path.exists(os.environ["GITDEPLOY_DATA"] + "/leaked"):
    open(os.environ["GITDEPLOY_DATA"] + "/leaked", "w").close()
    threading.Timer(1.5, leak).start()
"""
    plain(desk, leak, settings=', memory = "100MB"')
    deploy(desk)
    (_, first) = desk.page().text.split()
    ended = r"web\.1 ended (by SIGKILL, for want of memory|with exit code 9), started again"
    eventually(lambda: re.search(ended, logs(desk)), why=logs(desk))
    (release, second) = desk.page().text.split()
    assert release == "r1" and second != first


def test_what_an_app_has_forked_goes_with_it(desk):
    fork = """
line = "trap '' TERM; sleep 3613 & wait; wait"
subprocess.Popen(["sleep", "3613"])
subprocess.Popen(["sh", "-c", line], start_new_session=True)
subprocess.check_output(["sh", "-c", "setsid env - sleep 3613 >/dev/null 2>&1 &"])
"""
    plain(desk, fork, settings=', stop_timeout = "1s"')
    deploy(desk)
    eventually(lambda: len(of_machine("cmdline", "3613")) == 4)
    plain(desk)
    deploy(desk)
    assert desk.page().text.startswith("r2 ")
    eventually(lambda: not of_machine("cmdline", "3613"))
    eventually(lambda: not there(desk, "r1", "keeper.lock"))


def of_machine(file: str, word: str) -> set[str]:
    """The numbers of all processes that have the word in this file of /proc."""
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                found |= {entry.name} if word.encode() in (entry / file).read_bytes() else set()
    return found


def logs(desk: Desk) -> str:
    return desk.shared.cli("logs", desk.site).stdout


def there(desk: Desk, slot: str, file: str) -> bool:
    return (desk.shared.home / "sites" / desk.site / "production/slots" / slot / file).exists()
