"""The server in numbers, for Prometheus. A look costs what has happened since the look before, however long the ledger
is: what happens is counted from the start of the server, and what is there is counted where an index says it.
"""

from __future__ import annotations

import shutil
import threading
from collections import Counter
from datetime import datetime

import gitdeploy
from gitdeploy.domain import metric
from gitdeploy.domain.build import OPEN, STATES
from gitdeploy.domain.event import Event
from gitdeploy.domain.metric import Histogram, Metric, by, one
from gitdeploy.domain.role import EVERY_SITE, Actor, Role
from gitdeploy.service.context import Context

SITES = 500
"""Sites that have a line of their own, at most."""
_BUILDS = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0)
_RELEASES = (0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0)


class Metrics:
    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._lock = threading.Lock()
        self._number = ctx.ledger.events.head
        self._events: Counter[str] = Counter()
        self._builds = Histogram(_BUILDS)
        self._releases = Histogram(_RELEASES)

    def text(self, actor: Actor) -> str:
        """Raises Refused unless `actor` may see every site."""
        actor.need(Role.VIEWER, EVERY_SITE, "read the metrics")
        with self._lock:
            self._catch_up()
            return (
                metric.text([*self._happened(), *self._there()])
                + metric.histogram("gitdeploy_build_seconds", "How long builds took.", self._builds)
                + metric.histogram(
                    "gitdeploy_release_seconds",
                    "From a release's beginning until it was live.",
                    self._releases,
                )
            )

    def _catch_up(self) -> None:
        while found := self._ctx.ledger.events.after(self._number):
            for number, event in found:
                self._number = number
                self._events[event.action] += 1
                self._time(event)

    def _time(self, event: Event) -> None:
        ledger = self._ctx.ledger
        if event.action in ("build.built", "build.failed"):
            build = ledger.builds.get(event.subject)
            if build is not None and build.seconds is not None:
                self._builds.add(build.seconds)
        elif event.action == "release.live" and event.subject[1:].isdigit():
            release = ledger.releases.one(site=event.site, number=int(event.subject[1:]))
            if release is not None and release.live_at:
                took = datetime.fromisoformat(release.live_at) - datetime.fromisoformat(release.created_at)
                self._releases.add(took.total_seconds())

    def _happened(self) -> list[Metric]:
        """Since the server was started."""
        builds = {state: self._events[f"build.{state}"] for state in STATES if state not in OPEN}
        releases = {state: self._events[f"release.{state}"] for state in ("live", "failed")}
        pushes = {outcome: self._ctx.pushes[outcome] for outcome in ("accepted", "refused")}
        return [
            by("gitdeploy_pushes_total", "counter", "Pushed refs.", "outcome", pushes),
            by("gitdeploy_builds_total", "counter", "Builds that ended.", "state", builds),
            by("gitdeploy_releases_total", "counter", "Releases that ended their switch.", "state", releases),
            by("gitdeploy_events_total", "counter", "Events of the audit log.", "action", self._events),
        ]

    def _there(self) -> list[Metric]:
        ctx = self._ctx
        waiting, running = ctx.queue.load
        disk = shutil.disk_usage(ctx.home.root)
        live = ctx.ledger.releases.where(state="live", env="production", order="site", limit=SITES)
        copies = bool(ctx.server.snapshots.copy)
        snapshots = {
            "unproven": self._count("snapshots", "verified = ''"),
            "uncopied": self._count("snapshots", "copied = ''") if copies else 0,
        }
        failing = self._count("webhooks", "failing_since IS NOT NULL")
        return [
            by("gitdeploy_info", "gauge", "The version that runs.", "version", {gitdeploy.__version__: 1}),
            one("gitdeploy_sites", "gauge", "Sites.", self._count("sites")),
            by(
                "gitdeploy_live_release", "gauge", "The release that production serves.", "site",
                {row.site: row.number for row in live},
            ),
            by("gitdeploy_builds", "gauge", "Builds under way.", "state", {"queued": waiting, "building": running}),
            one("gitdeploy_lanes_waiting", "gauge", "Who waits for an environment's turn.", ctx.lanes.waiting),
            one("gitdeploy_disk_free_bytes", "gauge", "Free on the disk of the home.", disk.free),
            one("gitdeploy_disk_bytes", "gauge", "The size of that disk.", disk.total),
            by("gitdeploy_snapshots", "gauge", "Snapshots that need looking after.", "state", snapshots),
            one("gitdeploy_incidents_open", "gauge", "Incidents that are open.",
                self._count("incidents", "state = 'open'")),
            one("gitdeploy_webhooks", "gauge", "Webhooks.", self._count("webhooks")),
            one("gitdeploy_webhooks_failing", "gauge", "Webhooks whose last delivery failed.", failing),
            one("gitdeploy_event_head", "gauge", "The number of the newest event of the audit log.", self._number),
        ]  # fmt: skip

    def _count(self, table: str, test: str = "1") -> int:
        found = self._ctx.ledger.query(f"SELECT count(*) AS found FROM {table} WHERE {test}")
        return int(str(found[0]["found"]))
