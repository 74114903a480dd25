"""The program replaces itself under a server that goes on serving its sites, or puts itself back."""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from importlib.util import cache_from_source
from pathlib import Path

import pytest
from databases import free_port
from support import Project, Server, eventually

ROOT = Path(__file__).parents[2]
PIP = ("pip", "install", "--quiet", "--no-deps", "--disable-pip-version-check")


def needed(name: str, found: dict[str, importlib.metadata.Distribution]) -> None:
    """Every package that this one needs, and that is here."""
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        one = importlib.metadata.distribution(name)
        if one.name not in found:
            found[one.name] = one
            for line in one.requires or ():
                if "extra ==" not in line or "binary" in line:
                    needed(re.split(r"[^\w.-]", line)[0], found)


def copy_compiled(source: Path, target: Path) -> None:
    """With what Python made of it, which it would make again for every environment."""
    shutil.copy2(source, target)
    if source.suffix == ".py" and (made := Path(cache_from_source(str(source)))).exists():
        (target.parent / "__pycache__").mkdir(exist_ok=True)
        shutil.copy2(made, target.parent / "__pycache__")


def version(checkout: Path, number: str) -> None:
    for name in ("pyproject.toml", "gitdeploy/__init__.py"):
        text = (checkout / name).read_text()
        (checkout / name).write_text(
            re.sub(r'(version__ |^version )= "[^"]+"', rf'\1= "{number}"', text, flags=re.M)
        )


class Installed(Server):
    """A server whose program was installed from a checkout of its own, in an environment of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.ground = Path(tempfile.mkdtemp(prefix="gd-up-", dir="/tmp"))
        self.checkout, self.link = self.ground / "checkout", self.ground / "opt/gitdeploy"
        self.checkout.mkdir()
        for name in ("gitdeploy", "hooks", "templates"):
            shutil.copytree(ROOT / name, self.checkout / name)
        for name in ("pyproject.toml", "README.md", "LICENSE"):
            shutil.copy(ROOT / name, self.checkout)
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(self.link)], check=True)
        (packages,) = self.link.glob("lib/python*/site-packages")
        found: dict[str, importlib.metadata.Distribution] = {}
        for name in ("gitdeploy", "pip"):
            needed(name, found)
        for one in found.values():
            for file in one.files or () if one.name != "gitdeploy" else ():
                if ".." not in file.parts and "__pycache__" not in file.parts:
                    (packages / file).parent.mkdir(parents=True, exist_ok=True)
                    copy_compiled(Path(str(one.locate_file(file))), packages / file)
        subprocess.run([str(self.link / "bin/python"), "-m", *PIP, str(self.checkout)], check=True)
        self.listen, self.edge = (f"127.0.0.1:{free_port()}" for _ in range(2))

    @property
    def program(self) -> tuple[str, ...]:
        return (str(self.link / "bin/python"), "-m", "gitdeploy")

    def upgrade(self, *words: str, dies_at: str = "") -> subprocess.CompletedProcess[str]:
        """Run it; killed with -9 as soon as its state says `dies_at`."""
        with tempfile.TemporaryFile("w+") as said:
            going = subprocess.Popen(
                [*self.program, "--home", str(self.home), "upgrade", *words],
                stdout=said,
                stderr=said,
                cwd="/",
            )
            while going.poll() is None:
                state = self.home / "upgrade/state.json"
                if dies_at and state.exists() and json.loads(state.read_text())["phase"] == dies_at:
                    going.send_signal(signal.SIGKILL)
                time.sleep(0.001)
            said.seek(0)
            return subprocess.CompletedProcess("upgrade", going.returncode, said.read())

    def runs(self) -> str:
        return json.loads(self.fetch(self.listen, "/openapi.json").text)["info"]["version"]

    def destroy(self) -> None:
        for one in self.pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(one, signal.SIGTERM)
        eventually(lambda: not self.pids(), seconds=60)
        super().destroy()
        shutil.rmtree(self.ground)

    def pids(self) -> list[int]:
        found = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                words = path.read_bytes().decode().split("\0")
                if (
                    "serve" in words
                    and str(self.home) in words
                    and "State:\tZ" not in (path.parent / "status").read_text()
                ):
                    found.append(int(path.parent.name))
        return found


@pytest.fixture
def installed(request):
    one = Installed()
    request.addfinalizer(one.destroy)
    one.start(command=one.program)
    return one


@pytest.fixture
def visited(installed, tmp_path):
    """A site that is served, visited all the while; what went wrong."""
    installed.cli("site", "create", "blog")
    project = Project(tmp_path / "project", installed)
    project.git("remote", "add", "managed", installed.remote("blog", "maya", "maintainer"))
    project.commit("one", index_html="one")
    assert project.push("main").ok
    ending, failures, answers = threading.Event(), [], []

    def visit() -> None:
        while not ending.is_set():
            try:
                page = installed.get("blog")
                (answers if page.text == "one" else failures).append(page.status)
            except OSError as error:
                failures.append(repr(error))
            time.sleep(0.01)

    visitor = threading.Thread(target=visit)
    visitor.start()
    yield project
    ending.set()
    visitor.join()
    assert failures == [] and len(answers) > 100


def test_it_upgrades_itself_and_puts_itself_back_when_the_new_one_is_not_healthy(installed, visited):
    version(installed.checkout, "7.1.0")
    told = json.loads(installed.upgrade("--check", "--json").stdout)
    assert (told["to"], told["beside"]) == ("7.1.0", f"{installed.link}-1") and installed.link.is_dir()
    killed = installed.upgrade(dies_at="stopping")
    assert killed.returncode == -signal.SIGKILL, killed.stdout
    done = installed.upgrade()
    assert done.returncode == 0 and "was interrupted" in done.stdout, done.stdout
    assert installed.runs() == "7.1.0" and installed.link.readlink().name == "gitdeploy-1"
    visited.commit("one", about_html="about")
    assert visited.push("main").ok and installed.get("blog", "/about.html").text == "about"
    state = installed.home / "upgrade/state.json"
    assert not state.exists()

    # As one that was killed long ago when it had started the new one, whose doctor has found something since.
    served = {"pid": 1, "uid": os.geteuid(), "words": ["serve"]}
    state.write_text(json.dumps({
        "phase": "starting", "link": str(installed.link), "old": f"{installed.link}-0", "new": f"{installed.link}-1",
        "before": "0.0.0", "after": "7.1.0", "served": served,
    }))  # fmt: skip
    (installed.home / "hooks/pre-receive").rename(installed.home / "hooks/away")
    ended = installed.upgrade()
    assert ended.returncode == 0 and installed.runs() == "7.1.0" and not state.exists(), ended.stdout
    (installed.home / "hooks/away").rename(installed.home / "hooks/pre-receive")

    version(installed.checkout, "7.2.0")
    serve = installed.checkout / "gitdeploy/web/serve.py"
    whole = serve.read_text()
    serve.write_text(whole.replace("        reconcile.at_start(ctx)", "        ctx.site('nowhere')"))
    killed = installed.upgrade(dies_at="stopping")
    assert killed.returncode == -signal.SIGKILL, killed.stdout
    for one in installed.pids():
        os.kill(one, signal.SIGTERM)
    eventually(lambda: not installed.pids(), seconds=60)
    state.write_text(state.read_text().replace('"stopping"', '"switching"'))  # a moment later
    installed.process.wait()
    installed.start(command=installed.program)
    installed.cli("access", "grant", "zoe", "viewer", "--site", "blog")
    failed = installed.upgrade()
    assert failed.returncode == 1 and "it ended at its start" in failed.stdout, failed.stdout
    assert "zoe" in installed.cli("access", "list").stdout, "what the old one did in between is lost"
    assert (installed.home / "upgrade/replaced.db").exists()
    assert "7.1.0 is back, with the ledger of before" in failed.stdout
    eventually(lambda: len(installed.pids()) == 1 and installed.runs() == "7.1.0")
    assert (
        installed.link.readlink().name == "gitdeploy-1"
        and not (installed.ground / "opt/gitdeploy-2").exists()
    )
    visited.commit("one", about_html="still")
    assert visited.push("main").ok and installed.get("blog", "/about.html").text == "still"


@pytest.mark.soak
def test_killed_at_any_moment_it_is_finished_or_undone_by_doing_it_again(installed, visited):
    for number, phase in enumerate(("stopping", "switching", "starting"), 2):
        version(installed.checkout, f"7.{number}.0")
        killed = installed.upgrade(dies_at=phase)
        assert killed.returncode == -signal.SIGKILL, killed.stdout
        done = installed.upgrade()
        assert done.returncode == 0 and installed.runs() == f"7.{number}.0", done.stdout
    version(installed.checkout, "7.9.0")
    serve = installed.checkout / "gitdeploy/web/serve.py"
    whole = serve.read_text()
    serve.write_text(whole.replace("        reconcile.at_start(ctx)", "        ctx.site('nowhere')"))
    killed = installed.upgrade(dies_at="back")
    assert killed.returncode == -signal.SIGKILL, killed.stdout
    assert installed.upgrade().returncode == 1 and installed.runs() == "7.4.0"
    assert installed.link.readlink().name == "gitdeploy-3"

    serve.write_text(whole)
    migrations = installed.checkout / "gitdeploy/store/ledger/schema.py"
    migrations.write_text(migrations.read_text() + "\nraise RuntimeError('a migration fails')\n")
    before = installed.pids()
    refused = installed.upgrade()
    assert refused.returncode in (1, 6) and "Nothing has changed" in refused.stdout, refused.stdout
    assert installed.pids() == before and installed.facts("events", "verify")["broken"] is None
