"""Where everything lies below `GITDEPLOY_HOME`. The one place that knows the folder names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Home:
    root: Path

    @property
    def ledger(self) -> Path:
        """SQLite, written by the daemon alone."""
        return self.root / "ledger.db"

    @property
    def term(self) -> Path:
        """The claim with which this server acts, where it has standbys; in no backup, for it is this machine's."""
        return self.root / "term"

    @property
    def standby(self) -> Path:
        """`standby/state.json`: this home follows another server, and nothing is served from it."""
        return self.root / "standby"

    @property
    def repos(self) -> Path:
        """`repos/<site>.git`: bare repositories."""
        return self.root / "repos"

    @property
    def hooks(self) -> Path:
        """The one hooks folder that every repository uses through core.hooksPath."""
        return self.root / "hooks"

    @property
    def git_config(self) -> Path:
        """The settings that every repository includes; written anew at every start."""
        return self.root / "git.config"

    @property
    def store(self) -> Path:
        """`blobs/ab/<sha256>`, `artifacts/<root>/…`, `trees/<node>/`: see docs/store-format.md."""
        return self.root / "store"

    @property
    def sites(self) -> Path:
        """`sites/<site>/<env>/`: `current` -> `slots/<slot>`."""
        return self.root / "sites"

    @property
    def live(self) -> Path:
        """`live/<host>` -> `../sites/<site>/<env>`: the edge's routing table."""
        return self.root / "live"

    @property
    def domains(self) -> Path:
        """`domains/<host>/to:<host>`: the domains of sites, for the edge to know them by."""
        return self.root / "domains"

    @property
    def certificates(self) -> Path:
        """`certificates/<host>.pem`: those that owners brought, with their keys."""
        return self.root / "certificates"

    @property
    def snapshots(self) -> Path:
        """`snapshots/<site id>/<env>.json`: what files looked like when they were last captured; may be deleted."""
        return self.root / "snapshots"

    @property
    def keys(self) -> Path:
        return self.root / "keys"

    @property
    def run(self) -> Path:
        """Sockets, pid files, locks: nothing here matters after a reboot."""
        return self.root / "run"

    @property
    def logs(self) -> Path:
        """`logs/builds/<build>.log`, `logs/edge.log`, …"""
        return self.root / "logs"

    @property
    def work(self) -> Path:
        """`work/<build>/`: a build's private folder, gone when the build ends."""
        return self.root / "work"

    @property
    def builder(self) -> Path:
        """`builder/places/`, `builder/cache/`: of builds that are made here for a server elsewhere."""
        return self.root / "builder"

    @property
    def cache(self) -> Path:
        """`cache/<site>/`: what builds keep between runs; may be deleted at any time."""
        return self.root / "cache"
