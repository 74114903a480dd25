"""install.sh on machines that lack something: one sentence that says what, and a way on. And the demo, whole."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SYSTEM = ("sh", "dirname", "sed", "id", "cat", "cksum", "tr", "date", "mktemp", "rm", "tail", "grep", "env")


@pytest.fixture
def ground():
    """A folder that every user may enter, unlike pytest's own."""
    folder = Path(tempfile.mkdtemp(prefix="gd-install-", dir="/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def checkout(ground):
    """What install.sh looks at, in a folder of its own."""
    folder = ground / "checkout"
    folder.mkdir()
    for name in ("install.sh", "pyproject.toml"):
        shutil.copy(ROOT / name, folder)
    return folder


@pytest.fixture
def path(ground):
    """A PATH on which only the plainest programs are; tests add to it."""
    folder = ground / "bin"
    folder.mkdir()
    for name in SYSTEM:
        found = shutil.which(name)
        assert found, name
        (folder / name).symlink_to(found)
    return folder


def program(path: Path, name: str, script: str) -> None:
    (path / name).write_text(f"#!/bin/sh\n{script}\n")
    (path / name).chmod(0o755)


def install(
    checkout: Path, path: Path, *words: str, as_nobody: bool = False, **env: str
) -> subprocess.CompletedProcess[str]:
    """Run it as whoever we are; `as_nobody`: as one who is not root."""
    other = [shutil.which("setpriv") or "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    prefix = other if as_nobody and os.geteuid() == 0 else []
    return subprocess.run(
        [*prefix, "/bin/sh", "install.sh", *words], cwd=checkout, capture_output=True, text=True, timeout=300,
        env={"PATH": str(path), "HOME": str(checkout), **env},
    )  # fmt: skip


def refused(done: subprocess.CompletedProcess[str], *said: str) -> None:
    assert done.returncode == 1, done.stdout + done.stderr
    for text in said:
        assert text in done.stderr
    assert done.stderr.splitlines()[-1].startswith("  "), "a way on follows"


def test_without_git(checkout, path):
    refused(install(checkout, path), "install.sh: git is not installed.")


def test_with_an_old_git(checkout, path):
    program(path, "git", "echo git version 2.25.1")
    refused(install(checkout, path), "git 2.25 is too old: 2.29 or newer is needed.")


@pytest.mark.parametrize("version", ["2.29.0", "2.39.5 (Apple Git-154)", "3.0.1", "2.100.0"])
def test_a_new_enough_git_is_no_matter(checkout, path, version):
    program(path, "git", f"echo 'git version {version}'")
    refused(install(checkout, path), "Python is not installed.")


def test_with_an_old_python_only(checkout, path):
    program(path, "git", "echo git version 2.39.5")
    program(path, "python3", f'case "$2" in *print*) echo {path}/python3 3.9 ;; *) exit 1 ;; esac')
    refused(install(checkout, path), f"Python 3.9 ({path}/python3) is too old: 3.11 or newer is needed.")


def test_a_newer_python_is_found_beside_an_old_one(checkout, path):
    program(path, "git", "echo git version 2.39.5")
    program(path, "python3", f'case "$2" in *print*) echo {path}/python3 3.9 ;; *) exit 1 ;; esac')
    program(
        path,
        "python3.12",
        f'case "$2" in *print*) echo {path}/python3.12 3.12 ;; *ensurepip*) exit 1 ;; esac',
    )
    refused(install(checkout, path), f"{path}/python3.12 was built without its venv module.")


def test_without_the_right_to_write(checkout, path):
    program(path, "git", "echo git version 2.39.5")
    checkout.chmod(0o555)
    refused(install(checkout, path, as_nobody=True), f"{checkout} cannot be written by")
    checkout.chmod(0o755)


def test_without_a_package_index(checkout, path):
    program(path, "git", "echo git version 2.39.5")
    (path / "python3").symlink_to(sys.executable)
    offline = {
        "PIP_INDEX_URL": "http://127.0.0.1:1/simple",
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_NO_CACHE_DIR": "1",
    }
    done = install(checkout, path, PIP_RETRIES="0", **offline)
    refused(done, "pip cannot reach the package index.", "Check the network", "Connection refused")
    assert not list(checkout.glob(".venv/installed-*"))


def test_an_unknown_word(checkout, path):
    refused(install(checkout, path, "demp"), "There is no 'demp' here.", "./install.sh [demo|test|system]")


def test_a_second_run_installs_nothing(checkout, path):
    """A finished install, as far as install.sh can tell: it is taken as it is while pyproject.toml is the same."""
    program(path, "git", "echo git version 2.39.5")
    stamp = subprocess.run(
        ["/bin/sh", "-c", '{ cat pyproject.toml; echo "$PWD"; } | cksum | tr -d " "'],
        cwd=checkout, capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    (checkout / ".venv/bin").mkdir(parents=True)
    (checkout / ".venv/bin/python").symlink_to(sys.executable)
    (checkout / f".venv/installed-test-{stamp}").touch()
    done = install(checkout, path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Ready: ")
    (checkout / "pyproject.toml").write_text("")
    refused(install(checkout, path), "Python is not installed.")


def test_the_demo_does_what_it_says(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "gitdeploy", "demo", "--once", "--listen", "127.0.0.1:0", "--edge", "127.0.0.1:0"],
        cwd=ROOT, env={**os.environ, "TMPDIR": "/tmp", "HOME": str(tmp_path)}, capture_output=True, text=True,
        timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    story = done.stdout
    for typed in ("git checkout main", "git merge --ff-only feature/checkout", "git push managed main"):
        assert f"   $ {typed}\n" in story
    assert "✓ no build was added" in story
    assert "✓ main and live are as before" in story
    assert "$ git push managed HEAD:rollback/r1" in story
    assert story.rstrip().endswith("Every step did what it says.")
    folder = Path(story.split(" in ", 1)[1].split(";", 1)[0])
    assert folder.name.startswith("gitdeploy-demo-")
    assert not folder.exists()


def test_the_bench_without_its_python_says_how_to_run_it():
    done = subprocess.run(
        [sys.executable, "-S", str(ROOT / "bench/run"), "--help"], capture_output=True, text=True, cwd="/"
    )
    assert done.returncode == 1
    assert done.stderr == (
        "bench/run: this Python does not have gitdeploy; use scripts/bench, after ./install.sh.\n"
    )
