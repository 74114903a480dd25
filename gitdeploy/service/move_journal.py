"""A move of content, journalled: killed anywhere, its target has all of it or nothing.

    prepared     copies lie beside, nothing has changed: drop them
    moving       the database says by its mark whether it was made; without a database it was
    completed, failed

What was made is finished: the copies of files get their names, and what both sides hold now is remembered.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

from gitdeploy.data import content_files
from gitdeploy.domain.environment import Environment
from gitdeploy.domain.move import OPEN, Chosen, Move, Report
from gitdeploy.errors import GitdeployError
from gitdeploy.runtime.apps.driver import app_user
from gitdeploy.runtime.slots import Environment as Place
from gitdeploy.service import base, snapshot
from gitdeploy.service.context import Context
from gitdeploy.store import clock, durable, ids

log = logging.getLogger("gitdeploy.move")

PLAN = "plan.json"
STATE = "restoring"
"""What the target is while something is open of it."""


def begin(ctx: Context, source: str, target: Environment, actor: str, reason: str, chosen: Chosen) -> Move:
    """With a folder for what is prepared, which no program can look into."""
    move = ctx.ledger.moves.add(
        Move(
            id=ids.new("mov"), site=target.site, source=source, target=target.name, actor=actor, reason=reason,
            chosen=chosen.as_json(), state="prepared", created_at=clock.now(),
        )
    )  # fmt: skip
    durable.make_folder(folder_of(ctx, target, move), mode=0o700)
    return move


def decide(
    ctx: Context, move: Move, target: Environment, plan: dict[str, Any], chosen: Chosen, report: Report
) -> Move:
    """From here on it is made as soon as its database says so, at once when there is none. What is prepared in its
    folder has to be flushed before.

    `plan` is `{data, put, remove, base, then, tables, paths}`: the data folder, the numbers of the copies by path, the
    paths that go, where the base goes; and for production as it was `then`, which tables and paths those are.
    """
    folder = folder_of(ctx, target, move)
    durable.write_file(folder / PLAN, json.dumps({**plan, "moment": clock.now()}).encode())
    said = json.dumps(report.as_json())
    return ctx.ledger.moves.change(move, state="moving", chosen=chosen.as_json(), report=said)


def settle(ctx: Context, move: Move, why: str = "interrupted") -> Move:
    """Finish it if it was made, else drop what was prepared; safe to repeat. Raises what keeps it from being known or
    done, and then it stays open.
    """
    now = ctx.ledger.moves.get(move.id)
    env = ctx.ledger.environments.get(move.site, move.target)
    if now is None or now.state not in OPEN:
        return now or move
    made = env is not None and now.state == "moving" and _is_made(ctx, now, env)
    if env is not None and made:
        _put(ctx, now, env)
    with ctx.ledger.atomic():
        changes = {"state": "completed"} if made else {"state": "failed", "error": why}
        done = ctx.ledger.moves.change(now, **changes, finished_at=clock.now())
        said = json.loads(done.report)
        ctx.event(
            "content.moved" if made else "content.failed", actor=done.actor, site=done.site, env=done.target,
            subject=done.id,
            data={"from": done.source, "to": done.target, "snapshot": done.snapshot or None, "reason": done.reason,
                  "rows": said.get("rows"), "files": said.get("files"), "error": done.error or None},
        )  # fmt: skip
        if env is not None and env.state == STATE:
            ctx.ledger.environments.change(env, state="ready")
    if env is not None:
        durable.remove_tree(folder_of(ctx, env, now))
    return done


def settle_all(ctx: Context) -> None:
    """What nobody is at: at start all that is open, later what could not be settled before."""
    for move in ctx.ledger.moves.where(state=OPEN):
        gate = ctx.lanes.of(move.site, move.target).data
        if gate.free:
            try:
                done = settle(ctx, move)
                log.warning("move %s of %s into %s: %s", move.id, move.site, move.target, done.state)
            except (GitdeployError, OSError) as error:
                log.error("move %s of %s into %s is not settled: %s", move.id, move.site, move.target, error)
    for env in ctx.ledger.environments.where():
        _sweep(ctx, env)


def is_open(ctx: Context, site: str, env: str) -> bool:
    return ctx.ledger.moves.one(site=site, target=env, state=OPEN) is not None


def folder_of(ctx: Context, target: Environment, move: Move) -> Path:
    return Place(ctx.home, target.site, target.folder).moves_folder() / move.id


# Private


def _is_made(ctx: Context, move: Move, env: Environment) -> bool:
    if not move.asked.into:
        return True
    _, held = snapshot.kept(ctx, env)
    one = next(one for one in held if one.name == move.asked.into)
    return one.engine.settle(one.url, move.id)


def _put(ctx: Context, move: Move, env: Environment) -> None:
    place, folder = Place(ctx.home, env.site, env.folder), folder_of(ctx, env, move)
    plan = json.loads((folder / PLAN).read_text("utf-8"))
    content_files.put(
        place.data_folder(plan["data"]),
        folder / "new",
        folder / "aside",
        plan["put"],
        plan["remove"],
        app_user(),
    )
    if plan["base"]:
        base.install(folder / "base", ctx.home.sites / env.site / plan["base"], plan["moment"])
    if plan["then"]:
        moved = frozenset(plan["paths"])
        base.go_back(ctx, env.site, plan["then"], plan["moment"], plan["tables"], lambda path: path in moved)


def _sweep(ctx: Context, env: Environment) -> None:
    """What a move left that was settled by somebody who died then."""
    folder = Place(ctx.home, env.site, env.folder).moves_folder()
    for left in folder.iterdir() if folder.is_dir() else ():
        found = ctx.ledger.moves.get(left.name)
        if found is None or found.state not in OPEN:
            durable.remove_tree(left)
