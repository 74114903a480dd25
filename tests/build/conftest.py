from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from gitdeploy.build.builder import build
from gitdeploy.domain.recipe import Recipe, shell


@dataclass
class Bench:
    """One place to build in: a tree, a cache, and what the log got."""

    top: Path
    log: bytearray = field(default_factory=bytearray)
    cancel: threading.Event = field(default_factory=threading.Event)
    heard: Callable[[str], None] | None = None

    @property
    def work(self) -> Path:
        return self.top / "work"

    @property
    def text(self) -> str:
        return self.log.decode()

    def write(self, files: Mapping[str, str | bytes]) -> None:
        for name, data in files.items():
            path = self.work / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data.encode() if isinstance(data, str) else data)

    def build(self, recipe: Recipe, **more: Any) -> Path:
        def hear(data: bytes) -> None:
            self.log.extend(data)
            if self.heard:
                self.heard(self.text)

        self.work.mkdir(exist_ok=True)
        return build(recipe, self.work, self.top / "cache", hear, self.cancel, **more)

    def shell(self, line: str, *, output: str = "out", **more: Any) -> Path:
        """Build with one line; recipe fields and build's arguments may both be given."""
        known = {name: more.pop(name) for name in list(more) if name in Recipe.__dataclass_fields__}
        known = {"timeout": 60, "network": False, **known}
        return self.build(Recipe("command", "", (shell(line),), output, **known), **more)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture
def open_bench() -> Iterator[Bench]:
    """In a folder that every user may enter, as builds without bubblewrap need it."""
    top = Path(tempfile.mkdtemp(dir="/tmp"))
    top.chmod(0o711)
    yield Bench(top)
    shutil.rmtree(top)
