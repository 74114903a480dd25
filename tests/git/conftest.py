from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from support import GIT_ENV

from gitdeploy.git import repository as repositories
from gitdeploy.git.repository import Repository


class Bench:
    """A bare repository as a site has it, filled through a work tree beside it."""

    def __init__(self, folder: Path) -> None:
        settings = folder / "git.config"
        settings.write_text(repositories.shared_settings(hooks=folder / "none", max_pack=1 << 30))
        self.repository: Repository = repositories.create(folder / "site.git", branch="main", shared=settings)
        self.work = folder / "work"
        self.work.mkdir()
        self.git("init", "-q", "-b", "main")

    def git(self, *words: str | bytes, stdin: bytes = b"") -> str:
        done = subprocess.run(["git", *words], cwd=self.work, env={**os.environ, **GIT_ENV}, input=stdin,
                              capture_output=True)  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout.decode(errors="replace").strip()

    def bare(self, *words: str, stdin: bytes = b"") -> str:
        return self.git("--git-dir", str(self.repository.path), *words, stdin=stdin)

    def commit(self, subject: str = "change", **files: str) -> str:
        """Commit files (`a_txt` is a.txt) and bring the objects into the bare repository; returns the commit."""
        for name, text in files.items():
            (self.work / name.replace("_", ".")).write_text(text)
        return self.keep(subject)

    def keep(self, subject: str = "change") -> str:
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", subject)
        commit = self.git("rev-parse", "HEAD")
        self.bare("fetch", "-q", str(self.work), commit)
        return commit


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)
