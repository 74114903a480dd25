"""The service that install.sh writes, on a machine with systemd: apps answer on whatever happens to the daemon."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator

import pytest
from systemd_machine import PROJECT, Machine

HOME = "/var/lib/gitdeploy"
APP = """
import http.server, os

class App(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        if self.path == "/look":
            said = "\\n".join(line for top in (%r, "/home") for line in os.listdir(top))
        else:
            said = f"{os.environ['GITDEPLOY_RELEASE']} {os.getpid()}"
        self.send_response(200)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said.encode())

http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), App).serve_forever()
"""
VISITOR = """
import http.client, json, os, time
answers, failures = {}, []
while not os.path.exists("/tmp/enough"):
    try:
        door = http.client.HTTPConnection("127.0.0.1", 8480, timeout=10)
        door.request("GET", "/", headers={"Host": "shop.localhost"})
        got = door.getresponse()
        said = got.read().decode()
        assert got.status == 200, got.status
        answers[said] = answers.get(said, 0) + 1
    except Exception as error:
        failures.append(repr(error))
    time.sleep(0.005)
print(json.dumps([answers, failures]))
"""


@pytest.fixture(scope="module")
def shop(machine: Machine) -> Iterator[str]:
    """An installed gitdeploy that serves the app `shop`; the answer it gives. The package index is out of reach, so
    the program is this project's own.
    """
    for name, line in (("pip", ""), ("python", f'exec {sys.executable} "$@"'),
                       ("gitdeploy", f'exec {sys.executable} -m gitdeploy "$@"')):  # fmt: skip
        quiet = 'case "$*" in "-m pip "*) exit 0 ;; esac'
        machine.write(f"/opt/gitdeploy/bin/{name}", f"#!/bin/sh\n{quiet}\n{line}\n", mode=0o755)
    machine.write("/etc/default/gitdeploy", "LISTEN=127.0.0.1:8470\nEDGE=127.0.0.1:8480\nEDGE_TLS=\n")
    machine.check("sh", str(PROJECT / "install.sh"), "system")
    gitdeploy(machine, "site", "create", "shop")
    gitdeploy(machine, "access", "grant", "ana", "maintainer", "--site", "shop")
    token = json.loads(gitdeploy(machine, "token", "create", "ana", "--json"))["token"]
    machine.write("/tmp/shop/Procfile", "web: exec python3 app.py\n")
    machine.write("/tmp/shop/app.py", APP % HOME)
    machine.write("/tmp/visitor.py", VISITOR)
    push = """cd /tmp/shop && git init -qb main && git add . && git -c user.name=a -c user.email=a@b commit -qm One &&
              git push -q "$1" main"""
    machine.check("sh", "-c", push, "push", f"http://ana:{token}@127.0.0.1:8470/shop.git")
    yield visit(machine, "/")
    machine.run("systemctl", "stop", "gitdeploy")


def gitdeploy(machine: Machine, *words: str) -> str:
    return machine.check("gitdeploy", "--home", HOME, *words)


def visit(machine: Machine, path: str) -> str:
    return machine.check(
        "python3",
        "-c",
        f"""if 1:
        import http.client
        door = http.client.HTTPConnection("127.0.0.1", 8480, timeout=10)
        door.request("GET", {path!r}, headers={{"Host": "shop.localhost"}})
        print(door.getresponse().read().decode(), end="")""",
    )


def units(machine: Machine) -> list[str]:
    line = "XDG_RUNTIME_DIR=/run/user/$(id -u) exec systemctl --user list-units --all --plain --no-legend"
    listed = machine.check("sh", "-c", f"{line} 'gitdeploy-app-*'", user="gitdeploy")
    return listed.splitlines()


def pid_of(machine: Machine) -> str:
    return machine.check("systemctl", "show", "--value", "--property=MainPID", "gitdeploy").strip()


def await_daemon(machine: Machine, before: str) -> None:
    until(lambda: pid_of(machine) not in ("0", before))
    until(lambda: machine.run("gitdeploy", "--home", HOME, "ps", "shop").returncode == 0)


def until(condition: Callable[[], object], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition never came true"
        time.sleep(0.05)


def test_an_app_is_a_unit_of_the_users_own_systemd(machine: Machine, shop: str) -> None:
    (one,) = units(machine)
    assert one.startswith("gitdeploy-app-shop-production-r1-") and "active running" in one
    found = json.loads(machine.run("gitdeploy", "--home", HOME, "doctor", "--json").stdout)
    assert "apps run as units of systemd (user)" in json.dumps(found)


def test_an_app_sees_nothing_of_the_home_but_its_own(machine: Machine, shop: str) -> None:
    assert sorted(visit(machine, "/look").split()) == ["logs", "sites"]


def test_an_app_answers_on_while_the_daemon_is_restarted_and_killed(machine: Machine, shop: str) -> None:
    unit = units(machine)
    machine.run("rm", "-f", "/tmp/enough")
    visitor = machine.start("python3", "/tmp/visitor.py")
    before = pid_of(machine)
    machine.check("systemctl", "restart", "gitdeploy")
    await_daemon(machine, before)
    before = pid_of(machine)
    machine.check("systemctl", "kill", "--kill-whom=main", "--signal=KILL", "gitdeploy")
    await_daemon(machine, before)
    machine.check("touch", "/tmp/enough")
    answers, failures = json.loads(visitor.communicate(timeout=30)[0])
    assert failures == [] and list(answers) == [shop] and answers[shop] > 50
    assert units(machine) == unit
    assert json.loads(gitdeploy(machine, "ps", "shop", "--json"))


def test_a_release_follows_another_and_leaves_no_unit(machine: Machine, shop: str) -> None:
    gitdeploy(machine, "redeploy", "shop")
    assert visit(machine, "/").split()[0] == "r2"
    until(lambda: len(units(machine)) == 1)
    assert "shop-production-r2" in units(machine)[0]
