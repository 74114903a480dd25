"""Incidents: a rollback of production writes a note of its own, which stays open until the real fix is live there.

Nothing here stops or fails a release or a push: what cannot be written is told, logged, and tried again.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from functools import cache
from typing import Any

from jinja2 import Environment as Templates
from jinja2 import FileSystemLoader, StrictUndefined

from gitdeploy import resources
from gitdeploy.domain.incident import GATE, LONGEST, ROBOT, Incident, check_boxes, plain, refers
from gitdeploy.domain.length import at_most
from gitdeploy.domain.names import PRODUCTION
from gitdeploy.domain.refs import Update
from gitdeploy.domain.release import FORWARD, Release, goes_back
from gitdeploy.domain.role import Actor, Role
from gitdeploy.domain.site import Site
from gitdeploy.domain.units import roughly
from gitdeploy.errors import Busy, Invalid, NotFound, Refused
from gitdeploy.git.repository import Repository
from gitdeploy.runtime.apps import reading
from gitdeploy.runtime.apps.place import App
from gitdeploy.service import serving
from gitdeploy.service.context import Context
from gitdeploy.service.expectation import Expect, anything
from gitdeploy.service.mishap import plainly
from gitdeploy.service.teller import Teller
from gitdeploy.store import clock

log = logging.getLogger("gitdeploy.incident")

_COMMITS, _PATHS, _LINES = 20, 40, 20  # how many of each a note shows
_REMEMBERED = 500  # commits of a release whose mention counts as a reference
_LOOKED_AT = 1000  # newest commits that are searched for a reference


def after(ctx: Context, release: Release, teller: Teller) -> None:
    """What a release that has just gone live means: a rollback of production opens an incident or adds to it, and
    what brings a fix there answers it. Safe to repeat.
    """
    if release.env != PRODUCTION:
        return
    try:
        if release.kind == "rollback":
            _rolled_back(ctx, release, teller)
        elif release.kind in FORWARD:
            _answered(ctx, release, teller)
    except Exception as error:
        log.exception("%s: the incident of %s", release.site, release.name)
        ctx.untold.append(release)
        told = plainly(error, f"incident of {release.name}")
        teller.problem(f"{release.name} is live; its incident is not written: {told.message}", told.hint)


def pushed(ctx: Context, site: Site, update: Update, teller: Teller) -> None:
    """Tick the box of every open incident whose fix is in what git has just accepted."""
    if update.deletes or not update.ref.startswith("refs/heads/"):
        return
    try:
        for one in _open(ctx, site.name):
            fix = _reference(ctx, one, update.new, () if update.creates else (update.old,))
            if fix and "fix" not in one.ticked:
                _tick(ctx, one, ["fix"], fix=fix)
                teller.detail(f"{one.name}: its fix is queued: {fix[:7]}")
    except Exception:
        log.exception("%s: incidents after a push of %s", site.name, update.ref)


def find(ctx: Context, actor: Actor, site: Site, number: int | None = None) -> Incident:
    """The one of that number; else the newest that is open, or the newest of all."""
    actor.need(Role.DEVELOPER, site.name, "read its incidents")
    if number is not None:
        found = ctx.ledger.incidents.get(site.name, number)
    else:
        found = next(iter(_open(ctx, site.name)), None) or ctx.ledger.incidents.one(
            site=site.name, order="number DESC"
        )
    if found is None:
        which = f"incident {number}" if number is not None else "incident"
        raise NotFound(f"{site.name} has no {which}.", "A rollback of production opens one.")
    return found


def listing(
    ctx: Context, actor: Actor, site: Site, *, before: int = 1 << 40, limit: int = 50
) -> list[Incident]:
    """Newest first; `before` is the number of the last one already seen."""
    actor.need(Role.DEVELOPER, site.name, "read its incidents")
    return ctx.ledger.incidents.where(
        site=site.name, order="number DESC", limit=limit, sql="number < ?", given=(before,)
    )


def also_open(ctx: Context, incident: Incident) -> list[int]:
    return [one.number for one in _open(ctx, incident.site) if one.number != incident.number]


def edit(
    ctx: Context,
    actor: Actor,
    site: Site,
    number: int | None,
    *,
    text: str | None = None,
    was: str | None = None,
    ticks: Iterable[str] = (),
    expect: Expect = anything,
) -> Incident:
    """Replace the text and tick boxes. Raises Busy when the text is no longer what it `was`."""
    actor.need(Role.DEVELOPER, site.name, "edit its incidents")
    ticks = tuple(ticks)
    check_boxes(ticks)
    if text is not None and not text.strip():
        raise Invalid("The text is empty, so the incident is left as it is.", "Write it, then save.")
    at_most(LONGEST, "The text", text or "")
    with ctx.ledger.atomic():
        expect()
        found = find(ctx, actor, site, number)
        if was is not None and was != found.text:
            raise Busy(f"Somebody else has changed {found.name} meanwhile.", "Edit it again.")
        kept = found.text if text is None else plain(text)
        ctx.event("incident.edited", actor=actor.name, site=site.name, subject=found.name,
                  data={"ticked": list(ticks), "text": text is not None})  # fmt: skip
        return ctx.ledger.incidents.change(found, text=kept, ticks=_with(found, ticks, actor.name))


def close(ctx: Context, actor: Actor, site: Site, number: int | None, expect: Expect = anything) -> Incident:
    """Raises Refused, naming them, while boxes are open or the fix is not live."""
    actor.need(Role.DEVELOPER, site.name, "close its incidents")
    with ctx.ledger.atomic():
        expect()
        found = find(ctx, actor, site, number)
        if found.state == "closed":
            return found
        if not found.is_done:
            raise Refused(
                f"{found.name.capitalize()} is not over, for want of: {_why_open(found)}.", _how(found)
            )
        return _closed(ctx, found, actor.name)


# A rollback


def _rolled_back(ctx: Context, release: Release, teller: Teller) -> None:
    replaced = _replaced(ctx, release)
    if replaced is None or replaced.artifact == release.artifact or _is_written(ctx, release):
        return
    current = next(iter(_open(ctx, release.site)), None)
    if current is not None and not _goes_on(current, replaced):
        current = None
    if not goes_back(release, replaced):
        if current is not None:
            forward = f"Then {release.actor} went forward again, to r{release.origin} as {release.name}."
            _add(ctx, current, release, f"\n{_moment(release.live_at)}: {forward}\n")
        return
    repository = ctx.repository(release.site)
    commits = repository.commits(replaced.commit, without=[release.commit], limit=_REMEMBERED)
    facts = _facts(ctx, repository, release, replaced, commits)
    if current is not None:
        _add(ctx, current, release, "\n" + facts, replaced, commits)
        teller.detail(f"added to {current.name}: gitdeploy incident show {release.site}")
        return
    made = _opened(ctx, release, replaced, commits, facts)
    if made is not None:
        teller.detail(f"{made.name} is open, its note begun: gitdeploy incident show {release.site}")
        teller.detail(f"say in the commit of the real fix: Fixes {made.name}")


def _is_written(ctx: Context, release: Release) -> bool:
    written = ctx.ledger.incidents.where(site=release.site)
    return any(release.number in json.loads(one.rollbacks) for one in written)


def _goes_on(current: Incident, replaced: Release) -> bool:
    """Whether going back from `replaced` belongs to an incident that is open: nothing new was live meanwhile, or only
    the fix that did not help.
    """
    return replaced.kind == "rollback" or replaced.number == current.fixed_by


def _opened(ctx: Context, release: Release, bad: Release, commits: list[str], facts: str) -> Incident | None:
    """None when it was written before."""
    with ctx.ledger.atomic():
        if _is_written(ctx, release):
            return None
        before = ctx.ledger.incidents.one(site=release.site, order="number DESC")
        number = before.number + 1 if before else 1
        made = Incident(
            release.site, number, "open", clock.now(), release.actor, json.dumps([release.number]),
            json.dumps([bad.number]), json.dumps(commits), "{}", facts,
            _render("questions.md", number=number, site=release.site, good=release, bad=bad),
        )  # fmt: skip
        made = ctx.ledger.incidents.add(replace(made, ticks=_with(made, _seen(release, bad), ROBOT)))
        ctx.event("incident.opened", actor=release.actor, site=release.site, env=release.env,
                  subject=made.name, data={"release": release.name, "rejected": bad.name})  # fmt: skip
        return made


def _add(
    ctx: Context,
    current: Incident,
    release: Release,
    facts: str,
    bad: Release | None = None,
    commits: Iterable[str] = (),
) -> None:
    """What comes to an open incident. What was looked at before, and a fix that did not help, count no more."""
    with ctx.ledger.atomic():
        if _is_written(ctx, release):
            return
        now = _now(ctx, current)
        rollbacks, rejected = json.loads(now.rollbacks), json.loads(now.rejected)
        failed = bad is not None and bad.number == now.fixed_by
        gone = {"verified", "fix"} if failed else {"verified"}
        ticks = {name: one for name, one in now.ticked.items() if name not in gone}
        known = json.loads(now.commits)
        ctx.ledger.incidents.change(
            now, facts=now.facts + facts, ticks=json.dumps(ticks),
            rollbacks=json.dumps([*rollbacks, release.number]),
            rejected=json.dumps([*rejected, bad.number] if bad else rejected),
            commits=json.dumps([*(one for one in commits if one not in known), *known]),
            fix="" if failed else now.fix, fixed_by=None if failed else now.fixed_by,
        )  # fmt: skip


def _seen(release: Release, bad: Release) -> list[str]:
    """The boxes that are ticked by what is so already: a site of files has no database."""
    return ["restored", "database"] if release.serves == bad.serves == "files" else ["restored"]


def _facts(ctx: Context, repository: Repository, good: Release, bad: Release, commits: list[str]) -> str:
    subjects = repository.messages(bad.commit, without=[good.commit], limit=_COMMITS)
    files = _files(ctx, good, bad)
    seconds = (_time(bad.ended_at) - _time(bad.live_at)).total_seconds()
    return _render(
        "facts.md", good=good, bad=bad, served_for=roughly(seconds), log=_log(ctx, bad),
        commits=[f"{id[:7]} {message.partition(chr(10))[0]}" for id, message in subjects.items()],
        more_commits=len(commits) - len(subjects), files=files[:_PATHS] if files is not None else None,
        more_files=max(len(files or ()) - _PATHS, 0),
    )  # fmt: skip


def _files(ctx: Context, good: Release, bad: Release) -> list[str] | None:
    """What differed between the two for visitors; None when the bytes of one are no longer stored."""
    build = ctx.ledger.builds.get(bad.build)
    if build is None or not (ctx.store.has(good.artifact) and ctx.store.has(bad.artifact)):
        return None
    found = serving.difference(ctx, good, build)
    marks = {"changed": "M", "added": "A", "removed": "D"}
    return [f"{mark} {path}" for kind, mark in marks.items() for path in found[kind]]


def _log(ctx: Context, bad: Release) -> list[str]:
    """The last lines that an app said while it was live, in the slot of `bad`."""
    if bad.serves != "app" or bad.image:
        return []
    folder = App(ctx.home, bad.site, PRODUCTION, bad.slot).logs
    lines = reading.together(reading.listed(folder), 50 * _LINES)
    return [line[:300] for line in lines if line.split(" ", 2)[1:2] == [bad.slot]][-_LINES:]


def _replaced(ctx: Context, release: Release) -> Release | None:
    return ctx.ledger.releases.one(
        site=release.site, env=release.env, order="number DESC",
        sql=f"number < {release.number} AND live_at IS NOT NULL",
    )  # fmt: skip


# The fix


def _answered(ctx: Context, release: Release, teller: Teller) -> None:
    for one in _open(ctx, release.site):
        fix = _reference(ctx, one, release.commit) if one.fixed_by is None else None
        if fix is None:
            continue
        now = _tick(ctx, one, ["restored", "fix"], fix=fix, fixed_by=release.number)
        teller.step(f"{one.name}: its fix is live: {fix[:7]}")
        if now.is_done:
            _closed(ctx, now, ROBOT)
            teller.detail(f"{one.name} is closed")
        else:
            teller.detail(f"still to do: {_why_open(now)}")
            teller.detail(_how(now))


def _reference(ctx: Context, incident: Incident, commit: str, without: Iterable[str] = ()) -> str | None:
    """The newest commit of `commit`, beyond what was rejected and `without`, that names the incident."""
    rejected = ctx.ledger.releases.where(site=incident.site, number=tuple(json.loads(incident.rejected)))
    messages = ctx.repository(incident.site).messages(
        commit, without=[*without, *(one.commit for one in rejected)], limit=_LOOKED_AT
    )
    bad = json.loads(incident.commits)
    return next((id for id, said in messages.items() if refers(said, incident.number, bad)), None)


def _closed(ctx: Context, incident: Incident, by: str) -> Incident:
    with ctx.ledger.atomic():
        ctx.event("incident.closed", actor=by, site=incident.site, subject=incident.name)
        return ctx.ledger.incidents.change(incident, state="closed", closed_at=clock.now(), closed_by=by)


def _why_open(incident: Incident) -> str:
    """Every open box by name, with who ticks it."""
    said = [f"{box.name} ({box.who})" for box in incident.unticked]
    if "fix" in incident.ticked and not incident.fix_is_settled:
        said.append(f"fix ({incident.fix[:7]} is queued and not live yet)")
    return ", ".join(said)


def _how(incident: Incident) -> str:
    names = [box.name for box in incident.unticked]
    if not incident.fix_is_settled and "fix" not in names:
        names.append("fix")
    words = " ".join(f"--tick {name}" for name in names)
    return f"When that is so: gitdeploy incident edit {incident.site} {incident.number} {words}"


# Private


def _open(ctx: Context, site: str) -> list[Incident]:
    """Newest first."""
    return ctx.ledger.incidents.where(site=site, state="open", order="number DESC")


def _now(ctx: Context, incident: Incident) -> Incident:
    return ctx.ledger.incidents.get(incident.site, incident.number) or incident


def _tick(ctx: Context, incident: Incident, names: Iterable[str], **changes: Any) -> Incident:
    """Boxes that are ticked because it is so, with what else changes then."""
    with ctx.ledger.atomic():
        now = _now(ctx, incident)
        return ctx.ledger.incidents.change(now, ticks=_with(now, names, ROBOT), **changes)


def _with(incident: Incident, names: Iterable[str], by: str) -> str:
    """The ticks of an incident and those; a person's word replaces a robot's, and not the other way."""
    known = {box.name for box in GATE} - (set(incident.ticked) if by == ROBOT else set())
    new = {name: {"by": by, "at": clock.now()} for name in names if name in known}
    return json.dumps({**incident.ticked, **new})


def _render(template: str, **said: Any) -> str:
    return plain(_templates().get_template(template).render(**said))


@cache
def _templates() -> Templates:
    folder = resources.folder("templates") / "incident"
    made = Templates(loader=FileSystemLoader(folder), undefined=StrictUndefined, keep_trailing_newline=True)
    made.filters["moment"] = _moment
    return made


def _moment(text: str | None) -> str:
    return f"{(text or '')[:19].replace('T', ' ')} UTC"


def _time(text: str | None) -> datetime:
    return datetime.fromisoformat(text or clock.now())
