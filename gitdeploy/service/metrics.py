"""The server in numbers, for Prometheus. A look costs what has happened since the look before, however long the ledger
is: what happens is counted from the start of the server, and what is there is counted where an index says it.
"""

from __future__ import annotations

import shutil
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime

from prometheus_client import (
    CONTENT_TYPE_PLAIN_0_0_4,
    CollectorRegistry,
    Histogram,
    generate_latest,
)
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

import gitdeploy
from gitdeploy.domain.build import OPEN, STATES
from gitdeploy.domain.event import Event
from gitdeploy.domain.role import EVERY_SITE, Actor, Role
from gitdeploy.service.context import Context

TYPE = CONTENT_TYPE_PLAIN_0_0_4
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
        self._registry = CollectorRegistry()
        self._builds = Histogram(
            "gitdeploy_build_seconds", "How long builds took.", buckets=_BUILDS, registry=self._registry
        )
        self._releases = Histogram(
            "gitdeploy_release_seconds",
            "From a release's beginning until it was live.",
            buckets=_RELEASES,
            registry=self._registry,
        )
        self._registry.register(_Numbers(self))

    def text(self, actor: Actor) -> bytes:
        """As TYPE says. Raises Refused unless `actor` may see every site."""
        actor.need(Role.VIEWER, EVERY_SITE, "read the metrics")
        with self._lock:
            self._catch_up()
            return generate_latest(self._registry)

    def happened(self) -> Iterator[Metric]:
        """Since the server was started."""
        builds = {state: self._events[f"build.{state}"] for state in STATES if state not in OPEN}
        releases = {state: self._events[f"release.{state}"] for state in ("live", "failed")}
        pushes = {outcome: self._ctx.pushes[outcome] for outcome in ("accepted", "refused")}
        yield _counted("gitdeploy_pushes", "Pushed refs.", "outcome", pushes)
        yield _counted("gitdeploy_builds", "Builds that ended.", "state", builds)
        yield _counted("gitdeploy_releases", "Releases that ended their switch.", "state", releases)
        yield _counted("gitdeploy_events", "Events of the audit log.", "action", self._events)

    def there(self) -> Iterator[Metric]:
        """As it is now."""
        ctx = self._ctx
        waiting, running = ctx.queue.load
        disk = shutil.disk_usage(ctx.home.root)
        live = ctx.ledger.releases.where(state="live", env="production", order="site", limit=SITES)
        snapshots = {
            "unproven": self._count("snapshots", "verified = ''"),
            "uncopied": self._count("snapshots", "copied = ''") if ctx.server.snapshots.copy else 0,
        }
        yield _by("gitdeploy_info", "The version that runs.", "version", {gitdeploy.__version__: 1})
        yield _one("gitdeploy_sites", "Sites.", self._count("sites"))
        yield _by("gitdeploy_live_release", "The release that production serves.", "site",
                  {row.site: row.number for row in live})  # fmt: skip
        yield _by(
            "gitdeploy_builds_open", "Builds under way.", "state", {"queued": waiting, "building": running}
        )
        yield _one("gitdeploy_lanes_waiting", "Who waits for an environment's turn.", ctx.lanes.waiting)
        yield _one("gitdeploy_disk_free_bytes", "Free on the disk of the home.", disk.free)
        yield _one("gitdeploy_disk_bytes", "The size of that disk.", disk.total)
        yield _by("gitdeploy_snapshots", "Snapshots that need looking after.", "state", snapshots)
        yield _one("gitdeploy_incidents_open", "Incidents that are open.",
                   self._count("incidents", "state = 'open'"))  # fmt: skip
        yield _one("gitdeploy_acts", "1 while this server may act, 0 while another might.", int(ctx.lead.may))
        yield _by(
            "gitdeploy_standby_lag_seconds", "How far behind a standby is.", "host", ctx.standbys.lags()
        )
        yield _one("gitdeploy_webhooks", "Webhooks.", self._count("webhooks"))
        yield _one("gitdeploy_webhooks_failing", "Webhooks whose last delivery failed.",
                   self._count("webhooks", "failing_since IS NOT NULL"))  # fmt: skip
        yield _one("gitdeploy_event_head", "The number of the newest event of the audit log.", self._number)

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
                self._builds.observe(build.seconds)
        elif event.action == "release.live" and event.subject[1:].isdigit():
            release = ledger.releases.one(site=event.site, number=int(event.subject[1:]))
            if release is not None and release.live_at:
                took = datetime.fromisoformat(release.live_at) - datetime.fromisoformat(release.created_at)
                self._releases.observe(took.total_seconds())

    def _count(self, table: str, test: str = "1") -> int:
        found = self._ctx.ledger.query(f"SELECT count(*) AS found FROM {table} WHERE {test}")
        return int(str(found[0]["found"]))


class _Numbers:
    """What the library asks for everything that is not counted by itself."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        yield from self._metrics.happened()
        yield from self._metrics.there()

    def describe(self) -> list[Metric]:
        return []


def _counted(name: str, says: str, label: str, values: Mapping[str, float]) -> Metric:
    family = CounterMetricFamily(name, says, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family


def _by(name: str, says: str, label: str, values: Mapping[str, float]) -> Metric:
    family = GaugeMetricFamily(name, says, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family


def _one(name: str, says: str, value: float) -> Metric:
    return GaugeMetricFamily(name, says, value=value)
