"""A move of content rehearsed: on a copy of the target, with the code that is live there started on what comes of it.

Rows of production are no input, on whichever side they are: they change all the time. What a preview or a named
environment would send is one, and so are the rules.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NoReturn

from gitdeploy.data import content_files
from gitdeploy.data.content_files import Staging
from gitdeploy.domain.names import PRODUCTION
from gitdeploy.domain.rehearsal import HASH, Inputs, Rehearsal
from gitdeploy.domain.snapshot import Snapshot
from gitdeploy.runtime.apps.driver import app_user
from gitdeploy.runtime.slots import Environment as Place
from gitdeploy.service import database, rehearsal, rehearse, snapshot, surroundings
from gitdeploy.service import release as releases
from gitdeploy.service.context import Context
from gitdeploy.service.database import Held
from gitdeploy.service.move_course import Course
from gitdeploy.service.move_end import Source
from gitdeploy.service.rehearsal import Rehearsed
from gitdeploy.service.release import Ask


def run(ctx: Context, ask: Ask, source: Source, course: Course) -> NoReturn:
    """Do it to a copy of the target. Call it holding the `data` of both lanes. Raises Rehearsed when all went well."""
    target = course.target.env
    assert target is not None
    live, held = snapshot.kept(ctx, target)
    began = time.monotonic()
    taken = snapshot.capture_now(ctx, target, ask.actor, ask.teller, cause="a rehearsal")
    captured = round(time.monotonic() - began, 2)
    found: dict[str, Any] = {}

    def act(data: int, copies: Sequence[Held], seconds: dict[str, float]) -> None:
        folder = Place(ctx.home, target.site, target.folder).data_folder(data).resolve()
        copy = replace(course.target, number=data, data=folder, held=tuple(copies), index=None)
        found.update(_moved(ctx, ask, replace(course, target=copy), seconds))

    play = rehearse.Play(
        env=target, verb="clone", subject=source.name, inputs=_inputs(ctx, source, course), actor=ask.actor,
        build=releases.stored_build(ctx, live), config=surroundings.config_number(ctx, target), taken=taken,
        act=rehearse.Act(act, ("move",)), took={"captured": captured},
        before=rehearse.facts(held), more=found,
    )  # fmt: skip
    made = rehearse.rehearse(ctx, play, live, ask.teller)
    again = f"-o rehearsal={made.id} -o reason=… managed HEAD:clone/{source.name}/{target.name}"
    raise Rehearsed(made, f"Now for real, as long as nothing it depends on changes: git push {again}")


def require(ctx: Context, ask: Ask, source: Source, course: Course) -> Rehearsal | None:
    """The rehearsal that allows the move, None where nobody asked for one. Raises Refused."""
    target = course.target.env
    assert target is not None
    if not (ask.rehearsal or rehearsal.demanded(ctx, target, "clone")):
        return None
    inputs = _inputs(ctx, source, course)
    return rehearsal.require(ctx, target, "clone", source.name, inputs, ask.rehearsal)


# Private


def _moved(ctx: Context, ask: Ask, course: Course, seconds: dict[str, float]) -> dict[str, Any]:
    """Do it to the copy; what came of it."""
    began = time.monotonic()
    with course.compared("rehearsal") as move, tempfile.TemporaryDirectory(dir=snapshot.work(ctx)) as work:
        files = course.files()
        staging, aside = Staging(Path(work) / "new", app_user()), Path(work) / "aside"
        staging.take(course.source.data, files.change.coming, files.held)
        coming = staging.named(files.change.coming)
        seconds["compared"] = round(time.monotonic() - began, 2)
        with rehearse.timed(seconds, "move"):
            tables = move(lambda _: None)
            content_files.put(
                course.target.data, Path(work) / "new", aside, coming, files.change.removed, app_user()
            )
    report = course.report(tables, files)
    for line in report.lines(course.target.name):
        ask.teller.detail(line)
    return {"content": report.as_json()}


def _inputs(ctx: Context, source: Source, course: Course) -> Inputs:
    target = course.target.env
    assert target is not None
    live, held = snapshot.kept(ctx, target)
    number = surroundings.config_number(ctx, target)
    said = {
        "what moves": replace(course.chosen, into="").as_json(),
        "the rules for content": _digest(asdict(course.settings)),
        "what is live": live.name,
        "the configuration": f"c{number}" if number else "",
        **{f"the shape of {name}": one.fingerprint for name, one in database.shapes(held).items()},
    }
    if isinstance(source, Snapshot):
        return Inputs(said | {"the snapshot": source.artifact})
    for one in course.source.held:
        if one.name == course.chosen.into:
            said[f"the shape of {one.name} in {source.name}"] = one.engine.schema(one.url).fingerprint
    return Inputs(said if source.name == PRODUCTION else said | _sent(course))


def _sent(course: Course) -> dict[str, str]:
    """What the source has of all that was chosen."""
    name = course.source.name
    said = {f"the files of {name}": _digest(course.files().held)}
    for one in course.source.held:
        if one.name == course.chosen.into:
            with one.engine.instant(one.url) as instant:
                for table, count in instant.facts().tables.items():
                    if table in course.selection.tables:
                        said[f"{name}'s {one.name}/{table}"] = f"{count.rows} rows ({count.sum})"
    return said


def _digest(said: Mapping[str, Any]) -> str:
    text = json.dumps(said, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:HASH]
