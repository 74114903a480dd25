"""From a host name to the release that answers for it: two links are read, once a request.

After that only the slot's own path is used, so a switch in the middle of a request cannot mix two releases.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from gitdeploy.domain.host import HostName
from gitdeploy.domain.place import NO_WEB, RECENT, RECENT_SLOTS
from gitdeploy.domain.serving import Kind, Rules
from gitdeploy.errors import Invalid

_NO_RULES = Rules()

only: str | None = None
"""The one environment that answers for every host, such as `sites/site/env`; None: each host has its own."""


@dataclass(frozen=True)
class Slot:
    """`folder` is relative to the home, which is the edge's working directory."""

    folder: str
    rules: Rules
    is_app: bool = False

    @property
    def root(self) -> str:
        return f"{self.folder}/root"

    @property
    def has_web(self) -> bool:
        """False for an app that has no program for visitors."""
        return not os.path.exists(f"{self.folder}/{NO_WEB}")  # noqa: PTH110 (as the others)

    @property
    def socket(self) -> str:
        """Where the app listens; the path says it, whether or not somebody does."""
        return f"{self.folder}/web.sock"

    def kind(self, path: str) -> Kind | None:
        """What lies at a path relative to the root; names the disk cannot hold are simply not there."""
        try:
            mode = os.stat(f"{self.root}/{path}").st_mode & 0o170000  # noqa: PTH116 (hot)
        except (OSError, ValueError):
            return None
        return "file" if mode == 0o100000 else "folder" if mode == 0o040000 else None


def environment(host: HostName) -> str | None:
    """The folder of the environment that answers for `host`: `sites/blog/production`; for a name that is redirected
    that of the domain it leads to: `domains/example.org`.
    """
    try:
        return os.path.normpath(f"live/{os.readlink(f'live/{host}')}")  # noqa: PTH115 (hot)
    except OSError:
        return None


def live(environment: str) -> Slot | None:
    """The live slot; None when nothing is served there. Raises Invalid for broken rules."""
    try:
        slot = os.readlink(f"{environment}/current")  # noqa: PTH115 (hot)
    except OSError:
        return None
    folder = f"{environment}/{slot}"
    rules = _rules(folder)
    if rules is not None:
        return Slot(folder, rules)
    site, env = environment.split("/")[-2:]
    is_app = os.path.exists(f"{folder}/at:{site}:{env}:{slot.rpartition('/')[2]}:app")  # noqa: PTH110 (hot)
    return Slot(folder, _NO_RULES, is_app)


def recent(environment: str, now: Slot) -> Iterator[Slot]:
    """The slots of files that `now` and its like have followed lately, newest first."""
    left: list[tuple[float, str]] = []
    with os.scandir(f"{environment}/slots") as slots:
        for slot in slots:
            try:
                moment = os.stat(f"{slot.path}/left").st_mtime  # noqa: PTH116 (hot)
            except OSError:
                continue
            if slot.path != now.folder and not slot.name.startswith(".") and time.time() - moment < RECENT:
                left.append((moment, slot.path))
    for _, folder in sorted(left, reverse=True)[:RECENT_SLOTS]:
        yield Slot(folder, _rules(folder) or _NO_RULES)


def _rules(folder: str) -> Rules | None:
    try:
        seen = os.stat(f"{folder}/rules.json")  # noqa: PTH116 (hot)
    except FileNotFoundError:
        return None
    return _read(folder, seen.st_ino, seen.st_mtime_ns)


@lru_cache(maxsize=1024)
def _read(folder: str, inode: int, mtime_ns: int) -> Rules:
    del inode, mtime_ns  # part of the key: a slot's name may be used again, its content never changes
    try:
        with open(f"{folder}/rules.json", "rb") as file:
            return Rules.from_json(json.load(file))
    except ValueError as error:
        raise Invalid(f"{folder}/rules.json cannot be read.", "Deploy the release again.") from error
