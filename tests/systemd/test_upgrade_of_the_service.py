"""gitdeploy upgrade where systemd runs the server as a user of its own, and root upgrades it."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from systemd_machine import PROJECT, Machine, booted

HOME = "/var/lib/gitdeploy"
UNIT = f"""
[Service]
Type=exec
User=gitdeploy
ExecStart=/opt/gitdeploy/bin/gitdeploy --home {HOME} serve --listen 127.0.0.1:8470 --edge 127.0.0.1:8480
Restart=always
RestartSec=1
KillMode=process
"""
VISITOR = """
import http.client, json, os, time
answers, failures = 0, []
while not os.path.exists("/tmp/enough"):
    try:
        door = http.client.HTTPConnection("127.0.0.1", 8480, timeout=10)
        door.request("GET", "/", headers={"Host": "blog.localhost"})
        got = door.getresponse()
        assert (got.status, got.read()) == (200, b"one"), got.status
        answers += 1
    except Exception as error:
        failures.append(repr(error))
    time.sleep(0.01)
print(json.dumps([answers, failures]))
"""


@pytest.fixture(scope="module")
def alone() -> Iterator[Machine]:
    with booted() as one:
        yield one


def wheel(folder: Path, number: str, *, broken: bool = False) -> Path:
    checkout = folder / f"of-{number}"
    checkout.mkdir()
    for name in ("gitdeploy", "hooks", "templates"):
        shutil.copytree(PROJECT / name, checkout / name)
    for name in ("pyproject.toml", "README.md"):
        text = (PROJECT / name).read_text()
        (checkout / name).write_text(re.sub(r'^version = ".*"', f'version = "{number}"', text, flags=re.M))
    (checkout / "gitdeploy/__init__.py").write_text(f'__version__ = "{number}"\n')
    if broken:
        serve = checkout / "gitdeploy/web/serve.py"
        serve.write_text(serve.read_text().replace("reconcile.at_start(ctx)", "ctx.site('nowhere')"))
    build = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(folder), str(checkout)]
    subprocess.run(build, check=True)
    return next(folder.glob(f"gitdeploy-{number}-*.whl"))


def bring(machine: Machine, file: Path) -> str:
    text = base64.b64encode(file.read_bytes()).decode()
    for at in range(0, len(text), 100_000):
        machine.check("sh", "-c", f"printf %s {text[at : at + 100_000]} >>/srv/{file.name}.b64")
    machine.check("sh", "-c", f"base64 -d /srv/{file.name}.b64 >/srv/{file.name}")
    return f"/srv/{file.name}"


@pytest.mark.soak
def test_root_upgrades_the_service_and_has_the_old_one_back(alone: Machine, tmp_path: Path) -> None:
    first, good, bad = (
        bring(alone, one)
        for one in (wheel(tmp_path, "7.0.0"), wheel(tmp_path, "7.1.0"), wheel(tmp_path, "7.2.0", broken=True))
    )
    packages = f"lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"
    alone.check(sys.executable, "-m", "venv", "--without-pip", "/opt/gitdeploy")
    alone.write(f"/opt/gitdeploy/{packages}/needed.pth", f"{sys.prefix}/{packages}\n")
    python = "/opt/gitdeploy/bin/python"
    alone.check(python, "-m", "pip", "install", "-q", "--no-deps", "--no-index", first)
    alone.check("useradd", "--system", "--user-group", "--home-dir", HOME, "gitdeploy")
    alone.check("install", "-d", "-o", "gitdeploy", "-g", "gitdeploy", "-m", "750", HOME)
    alone.write("/etc/systemd/system/gitdeploy.service", UNIT)
    alone.check("systemctl", "daemon-reload")
    alone.check("systemctl", "start", "gitdeploy")

    def gitdeploy(*words: str) -> str:
        return alone.check(python, "-m", "gitdeploy", "--home", HOME, *words)

    def ready() -> bool:
        return not alone.run(python, "-m", "gitdeploy", "--home", HOME, "site", "list").returncode

    until = time.monotonic() + 60
    while not ready():
        assert time.monotonic() < until, alone.journal()
    gitdeploy("site", "create", "blog")
    gitdeploy("access", "grant", "ana", "maintainer", "--site", "blog")
    token = json.loads(gitdeploy("token", "create", "ana", "--json"))["token"]
    alone.write("/tmp/blog/index.html", "one")
    alone.write("/tmp/visitor.py", VISITOR)
    push = """cd /tmp/blog && git init -qb main && git add . && git -c user.name=a -c user.email=a@b commit -qm One &&
              git push -q "$1" main"""
    alone.check("sh", "-c", push, "push", f"http://ana:{token}@127.0.0.1:8470/blog.git")
    visitor = alone.start("python3", "/tmp/visitor.py")

    said = alone.run(python, "-m", "gitdeploy", "--home", HOME, "upgrade", "--from", good)
    assert said.returncode == 0, said.stderr + alone.journal()
    assert gitdeploy("--version").split()[-1] == "7.1.0"
    assert alone.check("readlink", "/opt/gitdeploy").strip() == "gitdeploy-1"
    failed = alone.run(python, "-m", "gitdeploy", "--home", HOME, "upgrade", "--from", bad)
    assert failed.returncode == 1 and "7.1.0 is back" in failed.stderr, failed.stderr
    line = "tr '\\0' ' ' </proc/$(systemctl show -P MainPID gitdeploy)/cmdline"
    assert alone.check("sh", "-c", line).startswith("/opt/gitdeploy-1/bin/python")
    owners = alone.check("find", HOME, "-maxdepth", "1", "-user", "root")
    assert owners == "", owners
    assert json.loads(gitdeploy("events", "verify", "--json"))["broken"] is None

    alone.check("touch", "/tmp/enough")
    answers, failures = json.loads(visitor.communicate(timeout=30)[0])
    assert failures == [] and answers > 50
