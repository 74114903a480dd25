"""What a new preview starts with: production's data or that of a snapshot, masked on the way, without what never moves.

It is filled once, before anything of it runs. What fails before that is done is begun again from nothing by the next
push, and nothing that is not masked is ever in it.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import replace

from gitdeploy.data.content_files import Staging
from gitdeploy.domain.build import Build
from gitdeploy.domain.content import RowChange
from gitdeploy.domain.environment import Environment
from gitdeploy.domain.move import Chosen, Move
from gitdeploy.domain.names import PRODUCTION
from gitdeploy.domain.recipe import APP
from gitdeploy.errors import NotFound
from gitdeploy.runtime.apps.driver import app_user
from gitdeploy.runtime.slots import Environment as Place
from gitdeploy.service import (
    base,
    config,
    database,
    move_course,
    move_end,
    move_journal,
    policy,
    serving,
    slot,
    snapshot,
    surroundings,
)
from gitdeploy.service.context import Context
from gitdeploy.service.journal import live_release
from gitdeploy.service.move_end import End, Source
from gitdeploy.service.teller import Teller
from gitdeploy.store import durable


def fill(ctx: Context, env: Environment, build: Build, actor: str, teller: Teller) -> None:
    """Do what `[preview] data` says of a preview in which nothing was live yet. Raises what keeps it from that."""
    want = policy.of_site(ctx.site(env.site), ctx.repository(env.site)).preview.data
    if want == "none" or json.loads(build.recipe)["kind"] != APP or not _is_new(ctx, env):
        return
    source = _source(ctx, env, want)
    if source is None:
        teller.detail("there is nothing in production yet that it could start with")
        return
    with _alone(ctx, env, source, teller):
        if not _is_new(ctx, env):
            return
        teller.step(f"data of {want if want != 'clone' else PRODUCTION} for preview {env.name} of {env.site}")
        target = _emptied(ctx, env, build)
        with move_end.opened(ctx, source, target) as mine:
            move = move_journal.begin(ctx, source.name, env, actor, "[preview] data", Chosen())
            try:
                _fill(ctx, mine, target, move, teller)
            except BaseException as error:
                move_journal.settle(ctx, move, str(error) or type(error).__name__)
                raise


# Private


def _is_new(ctx: Context, env: Environment) -> bool:
    filled = ctx.ledger.moves.one(
        site=env.site, target=env.name, state="completed", sql="created_at >= ?", given=(env.created_at,)
    )
    return env.kind == "preview" and filled is None and live_release(ctx, env.site, env.name) is None


def _source(ctx: Context, env: Environment, want: str) -> Source | None:
    if want != "clone":
        return snapshot.find(ctx, ctx.site(env.site), want)
    with contextlib.suppress(NotFound):
        production = ctx.ledger.environments.get(env.site, PRODUCTION)
        if production is not None and snapshot.keeps(ctx, production):
            return production
    return None


@contextlib.contextmanager
def _alone(ctx: Context, env: Environment, source: Source, teller: Teller) -> Iterator[None]:
    names = {env.name, *([source.name] if isinstance(source, Environment) else ())}
    with contextlib.ExitStack() as held:
        for name in sorted(names):
            gate = ctx.lanes.of(env.site, name).data
            held.enter_context(gate.hold(f"the data of preview {env.name}", teller, lambda: False))
        yield


def _emptied(ctx: Context, env: Environment, build: Build) -> End:
    """The preview's own databases and folder, with nothing in them. One whose URL is configured is none of its own."""
    wanted = serving.stated(ctx, build).settings.get("data", {}).get("databases", ())
    found = config.at(ctx, env.site, surroundings.config_scope(env), surroundings.config_number(ctx, env))
    held = database.of(ctx, env, wanted, found, slot.FIRST)
    mine = {one.url for one in database.made(ctx, env)}
    own = [one for one in held if not one.server or one.url in mine]
    for one in own:
        if one.server:
            one.server.beside(one.admin, one.url, "")
    durable.remove_tree(Place(ctx.home, env.site, env.folder).data_folder(slot.FIRST))
    return move_end.end_of(ctx, env, slot.FIRST, own)


def _fill(ctx: Context, source: End, target: End, move: Move, teller: Teller) -> None:
    """Rows are put in place at once, as nobody uses them yet. Files and what is remembered follow by the journal, which
    says then that it is filled.
    """
    assert target.env is not None
    site, env = ctx.site(target.env.site), target.env
    folder = move_journal.folder_of(ctx, env, move)
    kept = move_end.base_folder(ctx, source, target)
    rows: dict[str, RowChange] = {}
    withheld: tuple[str, ...] = ()
    for one in target.held:
        if one.name in {its.name for its in source.held}:
            one.engine.shape(source.database(one.name).url, one.url)
            course = move_course.chart(ctx, site, source, target, Chosen(files=False, into=one.name))
            rows |= course.rows(move.id, remember=folder / "base" if kept else None)
            withheld = (*withheld, *course.selection.withheld)
    course = move_course.chart(ctx, site, source, target, Chosen(database=False))
    files = course.files()
    staging = Staging(folder / "new", app_user())
    staging.take(source.data, files.change.coming, files.held)
    if kept:
        (folder / "base").mkdir(exist_ok=True)
        masked = policy.of_site(site, ctx.repository(site.name)).content.mask
        (folder / "base" / base.FILES).write_text(base.text(files.held, masked), "utf-8")
    plan = {
        "data": target.number, "put": staging.named(files.change.coming), "remove": [], "then": "",
        "base": str(kept.relative_to(ctx.home.sites / env.site)) if kept else "", "tables": [], "paths": [],
    }  # fmt: skip
    report = replace(course.report(rows, files), withheld=(*withheld, *files.withheld))
    for line in report.lines(env.name):
        teller.detail(line)
    durable.sync_filesystem(folder)
    move_journal.settle(ctx, move_journal.decide(ctx, move, env, plan, course.chosen, report))
