"""Clone and content promotion: content of one environment moves into another, with production as target too.

plan       what was chosen, and what would come of it; conflicts are refused by name
safety     a proven snapshot of what is there now, unless the target is a preview
compare    rows of both are compared as they are now, files that come are copied beside
move       requests are held; what would be touched is compared again, and written by one transaction of the target's
           database, which is the moment itself
put        the copies get their names
"""

from __future__ import annotations

import contextlib
import logging
import shlex
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from gitdeploy.data.content_files import Staging
from gitdeploy.domain.content import NAMED, RowChange
from gitdeploy.domain.environment import Environment
from gitdeploy.domain.move import Chosen, Move, Report
from gitdeploy.domain.names import PRODUCTION
from gitdeploy.domain.role import Actor, Role
from gitdeploy.domain.site import Site
from gitdeploy.domain.snapshot import Snapshot
from gitdeploy.errors import Busy, Failed, GitdeployError, Invalid, NotFound, Refused
from gitdeploy.runtime.apps.driver import app_user
from gitdeploy.service import (
    base,
    freeze,
    history,
    move_course,
    move_end,
    move_journal,
    move_rehearsal,
    restore,
    snapshot,
)
from gitdeploy.service.context import Context
from gitdeploy.service.move_course import Course
from gitdeploy.service.move_end import Source
from gitdeploy.service.pause import pause
from gitdeploy.service.release import Ask
from gitdeploy.store import durable

log = logging.getLogger("gitdeploy.move")


def allow(actor: Actor, site: Site, target: Environment, *, confirmed: bool, dry_run: bool) -> None:
    """Raises Refused, unless this person may change the content of an environment, and said so for production."""
    if target.kind == "preview":
        actor.need(Role.DEVELOPER, site.name, "move content into previews", target.name)
    elif target.kind != "production" or dry_run:
        actor.need(Role.MAINTAINER, site.name, f"move content into {target.name}", target.name)
    else:
        actor.need(Role.OPERATOR, site.name, "move content into production", target.name)
        if not confirmed:
            raise Refused(
                "This changes the content of production.",
                "See what: --dry-run, or -o dry-run. Then say that you mean it: --yes, or by git -o reason=…",
            )


def source_of(ctx: Context, site: Site, name: str) -> Source:
    """An environment, or a snapshot such as `s12`. Raises NotFound."""
    try:
        return history.environment_of(ctx, site, name)
    except NotFound:
        with contextlib.suppress(NotFound):
            return snapshot.find(ctx, site, name)
        raise


def between(ctx: Context, site: Site, text: str) -> tuple[Source, Environment]:
    """`production/feature/x` is from `production` to `feature/x`: names of environments may hold slashes.

    Raises NotFound when no two are meant, Invalid when several pairs are.
    """
    found: dict[tuple[str, str], tuple[Source, Environment]] = {}
    for at in (at for at, char in enumerate(text) if char == "/" and text[:at] and text[at + 1 :]):
        with contextlib.suppress(NotFound):
            source, target = (
                source_of(ctx, site, text[:at]),
                history.environment_of(ctx, site, text[at + 1 :]),
            )
            found[source.name, target.name] = (source, target)
    if len(found) > 1:
        pairs = "; or ".join(f"from {source} to {target}" for source, target in found)
        raise Invalid(f"{text!r} may mean {pairs}.", "Use gitdeploy clone with --from and --to.")
    if not found:
        raise NotFound(
            f"{text!r} does not name two environments of {site.name}.", "Such as: clone/production/staging"
        )
    return next(iter(found.values()))


def compare(ctx: Context, ask: Ask, source: Source, chosen: Chosen) -> Report:
    """What a move into the environment that is asked for would come to; nothing is changed."""
    with _target(ctx, ask, source) as target, _course(ctx, ask, source, target, chosen) as course:
        report = _look(course)
        _tell(ask, course, report)
        return report


def clone(ctx: Context, ask: Ask, source: Source, chosen: Chosen) -> Move:
    """Move content into the environment that is asked for, or rehearse that. Raises Refused for conflicts, unless they
    are to be overwritten; when it fails nothing has changed, or it says otherwise.
    """
    if not (ask.override_freeze or ask.rehearse):
        freeze.refuse(ctx, history.environment_of(ctx, ask.site, ask.env))
    with (
        _target(ctx, ask, source) as target,
        contextlib.nullcontext() if ask.rehearse else restore.restoring(ctx, target),
        _course(ctx, ask, source, target, chosen) as course,
    ):
        if ask.rehearse:
            _refuse_conflicts(course, _look(course))
            move_rehearsal.run(ctx, ask, source, course)
        move_rehearsal.require(ctx, ask, source, course)
        if course.careful:
            _refuse_conflicts(course, _look(course))
        move = move_journal.begin(ctx, source.name, target, ask.actor, ask.reason, course.chosen)
        started = time.monotonic()
        try:
            if target.kind != "preview" and snapshot.keeps(ctx, target):
                taken = restore.safety(ctx, target, ask, f"clone of {source.name}")
                move = ctx.ledger.moves.change(move, snapshot=taken.name)
            done = _Carrier(ctx, course, move, source).carry(ask)
        except BaseException as error:
            done = _settled(ctx, move, error)
            if done.state != "completed":
                raise
        _say_done(ask, done, time.monotonic() - started)
        return done


def listing(
    ctx: Context, site: Site, target: Environment | None = None, limit: int = 50, *, before: str = "~"
) -> list[Move]:
    """Newest first; `before` is the id of the last one already seen."""
    where: dict[str, Any] = {"target": target.name} if target else {}
    return ctx.ledger.moves.where(
        site=site.name, order="id DESC", limit=limit, sql="id < ?", given=(before,), **where
    )


# Private


@dataclass
class _Carrier:
    ctx: Context
    course: Course
    move: Move
    source: Source

    def carry(self, ask: Ask) -> Move:
        """Do it. What is found to speak against it meanwhile, up to the commit, takes it back."""
        target = self.course.target.env
        assert target is not None
        folder = move_journal.folder_of(self.ctx, target, self.move)
        staging = Staging(folder / "new", app_user())
        kept = move_end.base_folder(self.ctx, self.course.source, self.course.target)

        def ready(tables: Mapping[str, RowChange]) -> None:
            """Files that were written since the first look are looked at again."""
            last = self.course.files()
            report = self.course.report(tables, last)
            _refuse_conflicts(self.course, report)
            move_rehearsal.require(self.ctx, ask, self.source, self.course)
            staging.take(self.course.source.data, last.change.coming, last.held)
            if kept:
                (folder / "base").mkdir(exist_ok=True)
                durable.write_file(folder / "base" / base.FILES, self.course.agreed(last).encode())
            back = self.course.careful and isinstance(self.source, Snapshot) and self.source.env == PRODUCTION
            plan = {
                "data": self.course.target.number, "put": staging.named(last.change.coming),
                "remove": list(last.change.removed), "tables": list(tables),
                "paths": sorted(last.paths) if back else [],
                "base": str(kept.relative_to(self.ctx.home.sites / target.site)) if kept else "",
                "then": self.source.created_at if back else "",
            }  # fmt: skip
            _tell(ask, self.course, report)
            move_journal.decide(self.ctx, self.move, target, plan, self.course.chosen, report)

        lane = self.ctx.lanes.of(target.site, target.name)
        with self.course.compared(self.move.id, remember=folder / "base" if kept else None) as move:
            first = self.course.files()
            staging.take(self.course.source.data, first.change.coming, first.held)
            durable.sync_filesystem(folder)
            with (
                lane.switch.hold(f"{ask.actor}'s clone of {self.move.source}", ask.teller, ask.gone),
                pause(self.ctx, target, ask.teller),
            ):
                move(ready)
                return move_journal.settle(self.ctx, self.move)


@contextlib.contextmanager
def _target(ctx: Context, ask: Ask, source: Source) -> Iterator[Environment]:
    """Nobody else captures or changes the data of the two; taken in one order, so that nobody waits for ever."""
    target = history.environment_of(ctx, ask.site, ask.env)
    both = [target, *([source] if isinstance(source, Environment) else ())]
    if len({one.name for one in both}) < len(both):
        raise Invalid(f"Content moves between two environments, and both are {source.name}.")
    with contextlib.ExitStack() as held:
        for name in sorted(one.name for one in both):
            gate = ctx.lanes.of(ask.site.name, name).data
            held.enter_context(gate.hold(f"{ask.actor}'s clone of {source.name}", ask.teller, ask.gone))
        for env in both:
            if move_journal.is_open(ctx, env.site, env.name):
                raise Busy(
                    f"Content is on its way into {env.name} of {env.site}.",
                    "Wait until that is settled.",
                    again=10,
                )
        yield target


@contextlib.contextmanager
def _course(ctx: Context, ask: Ask, source: Source, target: Environment, chosen: Chosen) -> Iterator[Course]:
    ask.teller.step(f"clone of {source.name} into {target.name} of {ask.site.name} by {ask.actor}")
    into = move_end.end(ctx, target)
    with move_end.opened(ctx, source, into) as mine:
        course = move_course.chart(ctx, ask.site, mine, into, chosen)
        if course.careful and course.base is None and not chosen.overwrite:
            ask.teller.problem(
                f"{source.name} was not made of what {target.name} is now, so nobody knows what {target.name} has "
                "changed itself.",
                "All that would be changed or removed there counts as a conflict.",
            )
        yield course


def _look(course: Course) -> Report:
    return course.report(course.rows("", dry_run=True), course.files())


def _refuse_conflicts(course: Course, report: Report) -> None:
    if not report.categories:
        raise Refused(
            f"There is nothing to move from {course.source.name}.",
            "Say what the site keeps: [data] databases and files in gitdeploy.toml.",
        )
    found = report.conflicts
    if found and not course.chosen.overwrite:
        more = f" and {len(found) - NAMED} more" if len(found) > NAMED else ""
        raise Refused(
            f"{course.target.name} has changed these too: {', '.join(found[:NAMED])}{more}.",
            f"See what they hold. To take those of {course.source.name} all the same: --overwrite, -o overwrite, "
            "or the box that says so.",
        )


def _tell(ask: Ask, course: Course, report: Report) -> None:
    for line in report.lines(course.target.name):
        ask.teller.detail(line)


def _settled(ctx: Context, move: Move, error: BaseException) -> Move:
    """What it came to, after something went wrong. Raises Failed when that is not known yet."""
    why = error.message if isinstance(error, GitdeployError) else str(error) or type(error).__name__
    try:
        return move_journal.settle(ctx, move, why)
    except (GitdeployError, OSError) as worse:
        log.exception("move %s is not settled", move.id)
        raise Failed(
            f"{why} Whether the content has moved is not known yet.",
            f"It is finished, or taken back, as soon as that works: gitdeploy moves {move.site}",
        ) from worse


def _say_done(ask: Ask, done: Move, seconds: float) -> None:
    ask.teller.done(f"content of {done.source} is in {done.target} ({seconds:.1f} s)")
    if done.snapshot:
        asked = done.asked
        parts = [name for name, moves in (("database", asked.database), ("files", asked.files)) if moves]
        words = [
            *(f"--{name}" for name in parts if len(parts) == 1),
            *(f"--only={one}" for one in asked.only),
        ]
        command = ["gitdeploy", "clone", done.site, "--from", done.snapshot, "--to", done.target, *words]
        ask.teller.detail(f"undo: {shlex.join([*command, '--overwrite', '--yes'])}")
