"""`state.json`: what a keeper has running, for whoever wants to see it and for the keeper that follows it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from gitdeploy.cgroup import Group
from gitdeploy.runtime.edge.running import Running


@dataclass(frozen=True)
class CopyRecord:
    """One copy of a program. `since` is seconds since 1970, `last` how it ended last, "" when it never did.

    state: starting (of `web`: accepts nothing yet) running waiting (to be started again) crashed (keeps
    ending; tried once a minute) stopping ended. `groups` are the folders of its control group.
    """

    name: str
    state: str
    pid: int = 0
    born: str = ""
    port: int = 0
    since: float = 0.0
    restarts: int = 0
    last: str = ""
    groups: tuple[str, ...] = ()

    @property
    def program(self) -> str:
        return self.name.rpartition(".")[0]

    @property
    def running(self) -> Running:
        return Running(self.name, self.pid, self.born)

    @property
    def group(self) -> Group | None:
        """None when it had none, or not all of it is there any more."""
        folders = tuple(map(Path, self.groups))
        whole = folders and all(one.is_dir() for one in folders)
        return Group(folders, memory=False, processes=True) if whole else None


@dataclass(frozen=True)
class Record:
    """A slot: state is running, draining or retired. `keeper` runs it, since `started` (seconds since 1970). `jobs`
    are the names of what it was asked to run once and has not ended. `holds`: visitors wait (see `holding.py`).
    """

    state: str
    keeper: Running
    started: float
    layout: str
    copies: tuple[CopyRecord, ...] = ()
    jobs: tuple[str, ...] = ()
    holds: bool = False

    def write(self, path: Path) -> None:
        """Replaced as a whole, but not flushed: a power cut ends every process that is named in it."""
        temp = path.with_name(f".{path.name}")
        temp.write_text(json.dumps(asdict(self), indent=1))
        temp.replace(path)

    @classmethod
    def read(cls, path: Path) -> Record | None:
        """None when there is none, or what is there is no record: then nothing in it can be trusted."""
        try:
            data: dict[str, Any] = json.loads(path.read_bytes())
            copies = tuple(replace(CopyRecord(**one), groups=tuple(one["groups"])) for one in data["copies"])
            return cls(
                **{**data, "keeper": Running(**data["keeper"]), "copies": copies, "jobs": tuple(data["jobs"])}
            )
        except (OSError, ValueError, KeyError, TypeError):
            return None
