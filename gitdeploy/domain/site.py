"""One bare repository and all that is deployed from it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Site:
    """A row of the ledger.

    `policy` is the text of the gitdeploy.toml that production last went live with: "" when it had none, None
    before the first release. `last_release` is the highest release number given out. `lock` is the reason why
    nothing may go live, "" when it may. `last_snapshot` is the highest snapshot number given out.
    """

    name: str
    id: str
    created_at: str
    created_by: str
    policy: str | None = None
    last_release: int = 0
    lock: str = ""
    last_snapshot: int = 0
