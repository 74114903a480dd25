"""A release rehearsed: its release command, or a rollback's older code, on a copy of the data as it is today.

Rows are no input: they change all the time. The shape of the tables is.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from gitdeploy.domain.app import DOWN
from gitdeploy.domain.build import Build
from gitdeploy.domain.environment import Environment
from gitdeploy.domain.names import PRODUCTION
from gitdeploy.domain.recipe import APP
from gitdeploy.domain.rehearsal import Inputs
from gitdeploy.domain.release import FORWARD, Release
from gitdeploy.errors import Invalid, Refused
from gitdeploy.service import (
    database,
    down_migration,
    rehearsal,
    rehearse,
    serving,
    snapshot,
    surroundings,
)
from gitdeploy.service.context import Context
from gitdeploy.service.database import Held
from gitdeploy.service.down_migration import Down
from gitdeploy.service.journal import live_release
from gitdeploy.service.rehearsal import Rehearsed
from gitdeploy.service.rehearse import Act
from gitdeploy.service.teller import Teller
from gitdeploy.service.trial import REHEARSAL

_WAITS = ("captured", "filled", f"{DOWN} command", "exchange", "start")
"""What visitors wait for in a down-migration."""


@dataclass(frozen=True)
class Candidate:
    """What is about to go live: a build, as which `kind` of release, with the configuration of that number; for a
    rollback maybe after a down-migration.
    """

    env: Environment
    build: Build
    kind: str
    config: int
    down: Down | None = None

    @property
    def verb(self) -> str | None:
        """What its rehearsal is called; None where there is nothing to rehearse."""
        return "migration" if self.kind in FORWARD else "rollback" if self.kind == "rollback" else None


def run(ctx: Context, candidate: Candidate, actor: str, teller: Teller) -> NoReturn:
    """Run it on copies; raises Rehearsed when that went well, else what it failed with."""
    env, verb = candidate.env, candidate.verb
    live = live_release(ctx, env.site, env.name)
    if live is None or verb is None:
        raise Refused(
            f"Nothing is live in {env.name} yet that it could be rehearsed on.", "Push it as it is."
        )
    with ctx.lanes.of(env.site, env.name).data.hold(f"{actor}'s rehearsal", teller, lambda: False):
        taken, began = None, time.monotonic()
        if live.serves == "app" and snapshot.keeps(ctx, env):
            taken = snapshot.capture_now(ctx, env, actor, teller, cause="a rehearsal")
        captured, down = time.monotonic() - began, candidate.down

        def act(data: int, copies: Sequence[Held], seconds: dict[str, float]) -> None:
            assert down is not None
            with rehearse.timed(seconds, f"{DOWN} command"):
                down_migration.run(ctx, env, down, data, copies, teller, {REHEARSAL: "1"})

        play = rehearse.Play(
            env=env, verb=verb, subject=candidate.build.artifact or "", inputs=_inputs(ctx, candidate, live),
            actor=actor, build=candidate.build, config=candidate.config, taken=taken,
            migrates=verb == "migration", swaps=down is not None, took={"captured": round(captured, 2)} if down else {},
            act=Act(act, _WAITS) if down else None, before=taken.facts if taken else {},
        )  # fmt: skip
        made = rehearse.rehearse(ctx, play, live, teller)
    option = "" if env.name == PRODUCTION else f"-o env={env.name} " if verb == "rollback" else ""
    raise Rehearsed(made, f"Now for real, as long as nothing it depends on changes: git push {option}"
                          f"-o rehearsal={made.id} …")  # fmt: skip


def require(ctx: Context, candidate: Candidate, given: str) -> None:
    """Raises Refused, where a rehearsal is `given` or demanded, unless it was of just this."""
    env, verb = candidate.env, candidate.verb
    live = live_release(ctx, env.site, env.name)
    if verb is None:
        if given:
            raise Invalid(
                f"A release of kind {candidate.kind} is not rehearsed.", "Leave the rehearsal away."
            )
        return
    wanted = given or (rehearsal.demanded(ctx, env, verb) and _may_change(ctx, candidate))
    if live is not None and wanted:
        inputs = _inputs(ctx, candidate, live)
        rehearsal.require(ctx, env, verb, candidate.build.artifact or "", inputs, given)


# Private


def _settings(ctx: Context, build: Build) -> Mapping[str, Any]:
    """Those of an app; of files there is nothing to say."""
    stated = serving.stated(ctx, build)
    return stated.settings if stated.recipe.get("kind") == APP else {}


def _may_change(ctx: Context, candidate: Candidate) -> bool:
    settings = _settings(ctx, candidate.build)
    holds = bool(settings.get("data", {}).get("databases"))
    return holds and (candidate.verb == "rollback" or "release" in settings.get("processes", {}))


def _inputs(ctx: Context, candidate: Candidate, live: Release) -> Inputs:
    settings = _settings(ctx, candidate.build)
    said = {
        "the artifact": candidate.build.artifact or "",
        "the configuration": f"c{candidate.config}" if candidate.config else "",
    }
    if candidate.verb == "migration":
        said["the release command"] = settings.get("processes", {}).get("release", {}).get("command", "")
    like = dataclasses.replace(live, config=candidate.config)
    if (down := candidate.down) is not None:
        said |= {
            "the down command": down.command,
            "what is live": live.name,
            "what it goes back to": down.goal.name,
        }
        settings = serving.settings(ctx, live)
    held = surroundings.databases(ctx, candidate.env, like, settings)
    said |= {f"the shape of {name}": one.fingerprint for name, one in database.shapes(held).items()}
    return Inputs(said)
