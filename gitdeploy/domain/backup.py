"""A backup of a server: every file that it cannot make again, under the hash of its bytes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gitdeploy.domain.digest import Digest
from gitdeploy.errors import GitdeployError, NotProven

PREFIX = "bak"


@dataclass(frozen=True)
class Backup:
    """A row of the ledger. `place` is where it lies, `files` and `bytes` what it holds, `stored` the bytes that were
    not there before; `without` is the JSON of what could not be had: `["blog production: why", …]`.
    """

    id: str
    created_at: str
    actor: str
    place: str
    files: int
    bytes: int
    stored: int
    seconds: float
    without: str = "[]"


@dataclass(frozen=True)
class Item:
    """A file: its path in the home, permissions, bytes, digest, and when it was last written to in nanoseconds."""

    path: str
    mode: int
    size: int
    digest: Digest
    mtime: int


@dataclass(frozen=True)
class Contents:
    """What a backup holds: its files, and the permissions of the folders that they are in."""

    id: str
    created_at: str
    version: str
    folders: Mapping[str, int]
    files: tuple[Item, ...]
    without: tuple[str, ...] = ()

    def text(self) -> bytes:
        said = {
            "id": self.id, "created_at": self.created_at, "version": self.version, "without": self.without,
            "folders": dict(self.folders),
            "files": [[one.path, one.mode, one.size, one.digest, one.mtime] for one in self.files],
        }  # fmt: skip
        return json.dumps(said, separators=(",", ":")).encode()

    @classmethod
    def parse(cls, text: bytes) -> Contents:
        """Raises NotProven for what is none, or would leave the home."""
        try:
            said: dict[str, Any] = json.loads(text)
            files = tuple(
                Item(_inside(path), int(mode) & 0o777, int(size), Digest.parse(digest), int(mtime))
                for path, mode, size, digest, mtime in said["files"]
            )
            folders = {_inside(path): int(mode) & 0o777 for path, mode in said["folders"].items()}
            return cls(
                said["id"], said["created_at"], said["version"], folders, files, tuple(said["without"])
            )
        except (ValueError, LookupError, TypeError, AttributeError, GitdeployError) as error:
            raise NotProven(
                "The list of what the backup holds cannot be read.", "Take another backup."
            ) from error


def _inside(path: str) -> str:
    if not path or path.startswith("/") or not {"", ".", ".."}.isdisjoint(path.split("/")) or "\0" in path:
        raise ValueError(path)
    return path
