"""A place that a site is served from: one pointer to a release."""

from __future__ import annotations

from dataclasses import dataclass

KINDS = ("production", "named", "preview")


@dataclass(frozen=True)
class Environment:
    """A row of the ledger. `folder` is its folder and, but for production, its part of the host name; `scale` is
    the JSON of how many copies of a program somebody asked for, where that is not what the release says.
    """

    site: str
    name: str
    kind: str
    branch: str
    folder: str
    created_at: str
    state: str = "building"  # building ready failed restoring
    release: int | None = None
    expires_at: str | None = None
    scale: str = "{}"

    @property
    def label(self) -> str:
        """What stands before `--` in its host name; production has none."""
        return "" if self.kind == "production" else self.folder
