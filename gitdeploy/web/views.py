"""The JSON shapes of surface.md: how each thing looks from outside. Times are UTC ISO 8601, durations seconds."""

from __future__ import annotations

import json
from collections.abc import Iterable

from gitdeploy.domain.approval import Approval
from gitdeploy.domain.backup import Backup
from gitdeploy.domain.build import Build
from gitdeploy.domain.builder import Builder
from gitdeploy.domain.cutover import Cutover
from gitdeploy.domain.environment import Environment
from gitdeploy.domain.event import Event
from gitdeploy.domain.freeze import Freeze
from gitdeploy.domain.incident import Incident, gate
from gitdeploy.domain.move import Move
from gitdeploy.domain.names import PRODUCTION
from gitdeploy.domain.pictures import Pictures
from gitdeploy.domain.rehearsal import Rehearsal
from gitdeploy.domain.release import Release
from gitdeploy.domain.schedule import Schedule
from gitdeploy.domain.site import Site
from gitdeploy.domain.snapshot import Snapshot
from gitdeploy.domain.webhook import Delivery, Webhook
from gitdeploy.service import domain as domains
from gitdeploy.service import environment as environments
from gitdeploy.service import history, policy, processes, slot
from gitdeploy.service import site as sites
from gitdeploy.service.context import Context
from gitdeploy.service.incident_advice import Advice
from gitdeploy.service.journal import live_release
from gitdeploy.service.rehearsal import Rehearsed
from gitdeploy.service.teller import Teller
from gitdeploy.store import clock
from gitdeploy.web.shapes import data, releases, server
from gitdeploy.web.shapes import sites as site_shapes


def site(ctx: Context, row: Site) -> site_shapes.Site:
    live = live_release(ctx, row.name, PRODUCTION)
    named = environments.by_name(ctx, row, ("preview", "named"), limit=-1)
    return {
        "id": row.id, "name": row.name, "created_at": row.created_at, "lock": row.lock or None,
        "branch": policy.of_site(row, ctx.repository(row.name)).production.branch,
        "remotes": sites.remotes(ctx, row),
        "urls": {PRODUCTION: ctx.url(row.name), **{one.name: ctx.url(row.name, one.label) for one in named}},
        "domains": [ctx.domain_url(one.host) for one in domains.listing(ctx, row)],
        "live": {"release": live.name, "commit": live.commit, "artifact": live.artifact} if live else None,
    }  # fmt: skip


def release(row: Release) -> releases.Release:
    return {
        "id": row.id, "release": row.name, "site": row.site, "env": row.env, "kind": row.kind, "state": row.state,
        "mark": row.mark or None, "commit": row.commit, "subject": row.subject, "build": row.build,
        "artifact": row.artifact, "actor": row.actor, "reason": row.reason or None, "origin": f"r{row.origin}",
        "serves": row.serves, "image": row.image or None, "config": f"c{row.config}" if row.config else None,
        "pinned": row.pinned, "created_at": row.created_at, "live_at": row.live_at, "ended_at": row.ended_at,
        "undo": history.undo(row),
    }  # fmt: skip


def incident(row: Incident, also_open: Iterable[int] = ()) -> releases.Incident:
    return {
        "number": row.number, "site": row.site, "state": row.state, "created_at": row.created_at, "actor": row.actor,
        "rollbacks": [f"r{one}" for one in json.loads(row.rollbacks)],
        "rejected": [f"r{one}" for one in json.loads(row.rejected)],
        "gate": gate(row.ticked), "fix": row.fix or None, "fixed_by": f"r{row.fixed_by}" if row.fixed_by else None,
        "facts": row.facts, "text": row.text, "closed_at": row.closed_at, "closed_by": row.closed_by,
        "also_open": list(also_open),
    }  # fmt: skip


def advice(row: Advice) -> releases.Advice:
    def short(one: Release | None) -> releases.Served | None:
        return {
            "release": one.name, "kind": one.kind, "commit": one.commit, "subject": one.subject, "actor": one.actor,
            "live_at": one.live_at, "ended_at": one.ended_at,
        } if one else None  # fmt: skip

    return {
        "live": short(row.live), "seconds": int(row.seconds), "before": short(row.before),
        "last_change": row.last_change, "recent": row.recent, "last_good": short(row.last_good), "tag": row.tag or None,
        "config": row.config, "release_command": row.release_command or None, "incident": row.incident,
        "answer": row.answer, "command": row.command,
    }  # fmt: skip


def build(row: Build) -> releases.Build:
    return {
        "id": row.id, "site": row.site, "commit": row.commit, "tree": row.tree, "ref": row.ref, "state": row.state,
        "actor": row.actor, "subject": row.subject, "reused_from": row.reused_from, "artifact": row.artifact,
        "created_at": row.created_at, "started_at": row.started_at, "finished_at": row.finished_at,
        "seconds": row.seconds, "error": row.error, "push": row.push,
        "builder": row.builder,
    }  # fmt: skip


def environment(ctx: Context, row: Environment) -> site_shapes.Environment:
    return {
        "name": row.name, "kind": row.kind, "branch": row.branch, "state": row.state,
        "release": f"r{row.release}" if row.release else None, "url": ctx.url(row.site, row.label),
        "created_at": row.created_at, "expires_at": row.expires_at, "processes": copies(slot.processes(ctx, row)),
    }  # fmt: skip


def copies(rows: Iterable[processes.CopyRecord]) -> list[site_shapes.Copy]:
    return [
        {"name": one.name, "state": one.state, "pid": one.pid or None, "port": one.port or None,
         "since": clock.at(one.since) if one.since else None, "restarts": one.restarts, "last": one.last or None}
        for one in rows
    ]  # fmt: skip


def snapshot(row: Snapshot) -> data.Snapshot:
    return {
        "id": row.id, "snapshot": row.name, "site": row.site, "env": row.env, "created_at": row.created_at,
        "actor": row.actor, "cause": row.cause, "label": row.label or None, "release": f"r{row.release}",
        "bytes": row.bytes, "stored": row.stored, "files": row.files, "newer": row.newer,
        "pinned": row.pinned,
        "database": {
            name: {"rows": one.rows, "schema": one.schema.fingerprint,
                   "tables": {table: count.rows for table, count in sorted(one.tables.items())}}
            for name, one in row.facts.items()
        },
        "verified": json.loads(row.verified) if row.verified else None, "flaw": row.flaw or None,
        "copied": json.loads(row.copied) if row.copied else None, "expires_at": row.expires_at,
    }  # fmt: skip


def pictures(row: Pictures) -> releases.Pictures:
    return {
        "id": row.id, "site": row.site, "env": row.env, "build": row.build, "live": row.live,
        "candidate": row.candidate, "pages": row.of, "more": row.more, "created_at": row.created_at,
        "actor": row.actor,
    }  # fmt: skip


def schedule(row: Schedule) -> releases.Schedule:
    return {
        "id": row.id, "site": row.site, "env": row.env, "verb": row.verb, "target": row.target, "actor": row.actor,
        "at": row.at, "state": row.state, "commit": row.commit or None, "said": row.said or None,
        "created_at": row.created_at, "ended_at": row.ended_at,
    }  # fmt: skip


def approval(row: Approval) -> releases.Approval:
    return {
        "id": row.id, "site": row.site, "env": row.env, "state": row.state, "commit": row.commit,
        "artifact": row.artifact, "build": row.build, "subject": row.subject, "actor": row.actor,
        "votes": [{"actor": one.actor, "at": one.at, "signed": one.signed} for one in row.cast],
        "created_at": row.created_at, "ended_at": row.ended_at, "ended_by": row.ended_by or None,
        "reason": row.reason or None,
    }  # fmt: skip


def freeze(row: Freeze) -> site_shapes.Freeze:
    return {
        "id": row.id, "site": row.site, "env": row.env, "from": row.begins, "until": row.ends, "reason": row.reason,
        "actor": row.actor, "created_at": row.created_at,
    }  # fmt: skip


def move(row: Move) -> data.Move:
    asked = row.asked
    return {
        "id": row.id, "site": row.site, "from": row.source, "to": row.target, "state": row.state, "actor": row.actor,
        "reason": row.reason or None, "created_at": row.created_at, "finished_at": row.finished_at,
        "database": asked.into or None, "only": list(asked.only), "overwrite": asked.overwrite,
        "snapshot": row.snapshot or None, "error": row.error or None, **row.outcome,
    }  # fmt: skip


def rehearsal(row: Rehearsal) -> data.Rehearsal:
    return {
        "id": row.id, "site": row.site, "env": row.env, "verb": row.verb, "subject": row.subject,
        "state": "failed" if row.error else "passed", "error": row.error or None, "inputs": row.inputs,
        "depends_on": dict(row.of.said), "created_at": row.created_at, "actor": row.actor,
        "seconds": row.seconds, "pause": row.pause, "findings": row.found,
    }  # fmt: skip


def rehearsed(done: Rehearsed, teller: Teller) -> data.Rehearsal:
    """What a rehearsal answers with, having said how to go on."""
    teller.detail(done.hint)
    return rehearsal(done.rehearsal)


def cutover(ctx: Context, row: Cutover) -> data.Cutover:
    preview = ctx.ledger.environments.get(row.site, row.preview)
    return {
        "id": row.id, "site": row.site, "preview_id": row.preview, "state": row.state,
        "customer_note": row.note or None, "external_ticket_ref": row.ticket or None, "created_at": row.created_at,
        "requester": row.requester, "decided_at": row.decided_at, "decided_by": row.decided_by or None,
        "reason": row.reason or None, "started_at": row.started_at, "run_by": row.run_by or None,
        "backup": row.backup or None, "snapshot": row.filled or None, "rehearsal": row.rehearsal or None,
        "release": f"r{row.release}" if row.release else None, "finished_at": row.finished_at,
        "error": row.error or None, "preview_expires_at": preview.expires_at if preview else None,
        "undo": f"git push -o reason=… managed HEAD:restore/{row.backup}" if row.state == "completed" else None,
    }  # fmt: skip


def webhook(row: Webhook) -> server.Webhook:
    return {
        "id": row.id, "site": row.site, "format": row.format, "url": row.place, "events": row.events,
        "created_at": row.created_at, "actor": row.actor, "failing_since": row.failing_since,
        "attempts": row.attempts, "next_at": row.next_at, "error": row.error or None,
    }  # fmt: skip


def delivery(row: Delivery) -> server.Delivery:
    return {
        "id": row.id, "webhook": row.webhook, "event": row.event, "action": row.action, "at": row.at,
        "state": row.state, "cause": row.cause, "attempt": row.attempt, "seconds": row.seconds, "status": row.status,
        "error": row.error or None, "request": row.asked, "answer": row.answer,
    }  # fmt: skip


def backup(row: Backup) -> server.Backup:
    return {
        "id": row.id, "created_at": row.created_at, "actor": row.actor, "place": row.place, "files": row.files,
        "bytes": row.bytes, "stored": row.stored, "seconds": row.seconds, "without": json.loads(row.without),
    }  # fmt: skip


def builder(ctx: Context, row: Builder) -> server.Builder:
    running, away = ctx.crew.state(row.name)
    return {
        "name": row.name, "address": row.address, "places": row.places, "running": running, "away": away,
        "created_at": row.created_at, "actor": row.actor,
    }  # fmt: skip


def event(row: Event) -> server.Event:
    return {
        "id": row.id, "at": row.at, "site": row.site, "env": row.env, "actor": row.actor, "action": row.action,
        "subject": row.subject, "data": dict(row.data), "prev": row.prev, "hash": row.hash,
    }  # fmt: skip
