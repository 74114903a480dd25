"""What every verb works with: the open home."""

from __future__ import annotations

import logging
import threading
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gitdeploy.domain.head import Head
from gitdeploy.domain.names import PRODUCTION, host
from gitdeploy.domain.refs import ZERO
from gitdeploy.errors import NotFound
from gitdeploy.git.repository import Repository
from gitdeploy.service.crew import Crew
from gitdeploy.service.lane import Lanes
from gitdeploy.service.lead import Lead
from gitdeploy.service.server import Server
from gitdeploy.service.standbys import Standbys
from gitdeploy.store import clock, ids
from gitdeploy.store.artifacts import Store
from gitdeploy.store.home import Home
from gitdeploy.store.ledger import Ledger
from gitdeploy.store.vault import Vault

if TYPE_CHECKING:
    from gitdeploy.domain.release import Release
    from gitdeploy.domain.site import Site
    from gitdeploy.service.queue import BuildQueue

log = logging.getLogger("gitdeploy.events")


@dataclass
class Context:
    """`listen`, `edge` and `tls` are the addresses people use, such as `127.0.0.1:8470`; known once served, `tls` only
    when HTTPS is. `untold` are releases whose note could not be written yet; `settled` says by site id how its
    branches looked when all was well with them; `preparing` names by site, environment and number the data that is
    being prepared beside what is in use. `pushes` counts refs that were `accepted` and `refused` since the start.
    `notes_locks` are by site, `proofs` are held by who proves the snapshot, `image_locks` by
    site id, held by who pushes or deletes an image of it.
    """

    home: Home
    ledger: Ledger
    store: Store
    server: Server
    queue: BuildQueue
    vault: Vault
    lead: Lead = field(default_factory=Lead)
    crew: Crew = field(default_factory=Crew)
    standbys: Standbys = field(default_factory=Standbys)
    lanes: Lanes = field(default_factory=Lanes)
    listen: str = ""
    edge: str = ""
    tls: str = ""
    untold: list[Release] = field(default_factory=list)
    settled: dict[str, tuple[object, ...]] = field(default_factory=dict)
    preparing: set[tuple[str, str, int]] = field(default_factory=set)
    notes_locks: defaultdict[str, threading.Lock] = field(default_factory=lambda: defaultdict(threading.Lock))
    pushes: Counter[str] = field(default_factory=Counter)
    proofs: defaultdict[str, threading.Lock] = field(default_factory=lambda: defaultdict(threading.Lock))

    image_locks: defaultdict[str, threading.Lock] = field(default_factory=lambda: defaultdict(threading.Lock))

    def site(self, name: str) -> Site:
        found = self.ledger.sites.get(name)
        if found is None:
            raise NotFound(
                f"There is no site {name!r}.", f"See: gitdeploy site list, or: gitdeploy site create {name}"
            )
        return found

    def repository(self, site: str) -> Repository:
        return Repository(self.home.repos / f"{site}.git")

    def url(self, site: str, label: str = "") -> str:
        edge = f":{self.server.swarm.port}" if self._is_on_swarm(site, label) else self.edge
        return _url("http", host(site, self.server.domain, label=label), edge)

    def domain_url(self, domain: str) -> str:
        return _url("https", domain, self.tls) if self.tls else _url("http", domain, self.edge)

    def event(
        self,
        action: str,
        *,
        actor: str,
        site: str = "",
        env: str = "",
        subject: str = "",
        data: Mapping[str, Any] | None = None,
    ) -> None:
        self.ledger.events.add(
            ids.new("evt"),
            clock.now(),
            action=action,
            actor=actor,
            site=site,
            env=env,
            subject=subject,
            data=data,
        )
        log.info(
            "%s", " ".join(one for one in (action, site, env, subject, f"by {actor}" * bool(actor)) if one),
            extra={"site": site, "env": env, "actor": actor, "action": action, "subject": subject},
        )  # fmt: skip

    def acted_on(self, site: str, ref: str, commit: str) -> None:
        """Remember that a branch was acted on as it stands at `commit` (all zero: gone)."""
        with self.ledger.atomic():
            if (known := self.ledger.heads.get(site, ref)) is not None:
                self.ledger.heads.remove(known)
            if commit != ZERO:
                self.ledger.heads.add(Head(site, ref, commit))

    def _is_on_swarm(self, site: str, label: str) -> bool:
        """Whether what is live there is reached through the swarm's edge."""
        if not self.server.swarm.registry:
            return False
        env = self.ledger.environments.one(site=site, folder=label or PRODUCTION)
        live = self.ledger.releases.one(site=site, env=env.name, state="live") if env else None
        return live is not None and bool(live.image)


def _url(scheme: str, host: str, listen: str) -> str:
    port = listen.rpartition(":")[2]
    usual = {"http": "80", "https": "443"}[scheme]
    return f"{scheme}://{host}/" if port in ("", usual) else f"{scheme}://{host}:{port}/"
