"""The slot of a release: made ready beside the one that serves, kept started, and ended when its time is over.

A slot of files is laid out and asked what it would answer. A slot of an app runs its release command when it brings
something new, starts its processes, and has to be healthy. Nothing of what serves is touched by either.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
from pathlib import Path

from gitdeploy.domain import release as rules
from gitdeploy.domain.app import DATA, RELEASE, AppSpec
from gitdeploy.domain.database import folders
from gitdeploy.domain.environment import Environment
from gitdeploy.domain.release import Release
from gitdeploy.errors import Failed, GitdeployError, NotFound
from gitdeploy.runtime.apps import driver
from gitdeploy.runtime.apps.driver import App, CopyRecord
from gitdeploy.runtime.slots import Environment as Place
from gitdeploy.service import (
    config,
    database,
    mishap,
    policy,
    serving,
    surroundings,
    swarm,
    swarm_job,
    swarm_seen,
)
from gitdeploy.service.context import Context
from gitdeploy.service.database import Held
from gitdeploy.service.journal import live_release
from gitdeploy.service.serving import Proven
from gitdeploy.service.teller import Teller

log = logging.getLogger("gitdeploy.slot")

FIRST = 1
"""The number of the first data folder of an environment."""
LONGEST_COMMAND = 3600.0  # seconds
LONGEST_JOB = 3600.0
"""Seconds that a command which is still run in a slot keeps it after its processes have ended."""
_TRIAL = "try"


def make_ready(ctx: Context, env: Environment, release: Release, proven: Proven, teller: Teller) -> Release:
    """Have the slot of `release` able to serve it, and say how healthy it is. Returns the release with what its
    databases look like.

    Raises Failed with what was got instead and the app's own last lines.
    """
    if proven.on_swarm:
        return _on_swarm(ctx, env, release, proven, teller)
    if not proven.is_app:
        said = serving.check_health(proven)
        serving.prepare(ctx, _place(ctx, env), release.slot, proven)
        teller.detail(said)
        return release
    if release.slot == release.name:
        release = _start(ctx, env, release, proven, teller)
    else:
        teller.detail(f"the processes of {release.slot} are still started")
        shapes = database.shapes(surroundings.databases(ctx, env, release, proven.settings))
        release = database.remember(ctx, release, shapes, shapes)
    teller.detail(
        driver.wait_healthy(app_of(ctx, env, release), surroundings.health_check(ctx, env, proven.settings))
    )
    return release


def keep(ctx: Context, env: Environment) -> None:
    """Start what should run and does not, drain what runs and should not, remove what has ended; let in whom somebody
    held who died. Call it in the lane of `env`, or before anything moves.
    """
    live = live_release(ctx, env.site, env.name)
    wanted = {live.slot} if live is not None else set()
    swarm.keep(ctx, env, live)
    if live is not None and live.serves == "app" and not live.image:
        wanted |= _warm_slots(ctx, env, live)
        _start_again(ctx, env, live)
    wanted |= {trial(number) for site, name, number in ctx.preparing if (site, name) == (env.site, env.name)}
    for one in driver.running(ctx.home, env.site, env.folder):
        if driver.holds(one) and live is not None:
            with contextlib.suppress(GitdeployError):  # it ended just now
                driver.resume(one, app_of(ctx, env, live) if one.slot != live.slot else None)
        if one.slot not in wanted:
            driver.drain(one, wait=False, patience=0.0 if one.slot.startswith(_TRIAL) else LONGEST_JOB)
    _place(ctx, env).retire(keep=wanted)


def trial(data: int) -> str:
    """The slot of a rehearsal, by the number of its data. It is never pointed at, and goes when nobody keeps it."""
    return f"{_TRIAL}{data}"


def end(ctx: Context, env: Environment) -> None:
    """Stop everything that runs in an environment, and wait for it."""
    swarm.end(ctx, env)
    apps = list(driver.running(ctx.home, env.site, env.folder))
    for app in apps:
        driver.drain(app, wait=False)
    for app in apps:
        driver.drain(app)


def processes(ctx: Context, env: Environment) -> tuple[CopyRecord, ...]:
    """What runs for the live release of an environment."""
    live = live_release(ctx, env.site, env.name)
    if live is not None and live.image:
        return swarm_seen.copies(ctx, env)
    if live is None or live.serves != "app":
        return ()
    try:
        return driver.status(app_of(ctx, env, live)).copies
    except NotFound:
        return ()


def warm(ctx: Context, env: Environment, release: Release) -> str | None:
    """The slot of an earlier release that is still started and holds just what `release` goes back to."""
    live = live_release(ctx, env.site, env.name)
    if release.kind != "rollback" or release.serves != "app" or live is None or live.image:
        return None
    same = ctx.ledger.releases.where(
        site=env.site, env=env.name, serves="app", artifact=release.artifact, config=release.config,
        data=release.data, order="number DESC",
    )  # fmt: skip
    for one in same:
        if one.slot != live.slot and one.served and _is_well(app_of(ctx, env, one)):
            return one.slot
    return None


def data_folder(ctx: Context, env: Environment, number: int) -> Path:
    """The folder that the processes of an environment may write to, made when it is missing."""
    folder = _place(ctx, env).data_folder(number)
    if not folder.is_dir():
        folder.mkdir(parents=True)
        _give(folder)
    folder.chmod(0o700)
    return folder.resolve()


def give_all(folder: Path) -> None:
    """Make a folder that is closed to others, and all below it, belong to whoever runs apps; itself last."""
    user = driver.app_user()
    if user is not None:
        for above, _, files in os.walk(folder, topdown=False):
            for name in files:
                os.chown(os.path.join(above, name), user.uid, user.gid, follow_symlinks=False)  # noqa: PTH118
            os.chown(above, user.uid, user.gid)


def lay_out(ctx: Context, env: Environment, release: Release, proven: Proven, spec: AppSpec) -> Path:
    """The folder that the processes run in: within the slot, so that it goes with it. What is kept from release to
    release is linked into it.
    """
    layout = _place(ctx, env).slot_folder(release.slot) / "app"
    _place(ctx, env).prepare_app(release.slot, layout, has_web=spec.has_web)
    data = data_folder(ctx, env, release.data)
    kept = proven.settings.get("data", {})
    shared = folders(kept.get("databases", ()), kept.get("files", ()))
    for one in shared:
        _own_folder(data, one)
    links = {os.fsencode(one): os.fsencode(data / one) for one in shared}
    ctx.store.lay_out(proven.manifest, layout, links)
    return layout


def spec_of(ctx: Context, env: Environment, release: Release, proven: Proven, held: list[Held]) -> AppSpec:
    """What a release runs, with today's counts, and the configuration and databases of its environment."""
    found = config.at(ctx, env.site, surroundings.config_scope(env), release.config)
    urls = database.told(held)
    given = {name: one.value for name, one in found.items()}
    secrets = {*urls, *(name for name, one in found.items() if one.secret)}
    ours = {"GITDEPLOY_ENV": env.name, DATA: str(data_folder(ctx, env, release.data))}
    variables = {**urls, **given, **ours}
    return AppSpec.of(proven.settings["processes"], variables, sorted(secrets)).scaled(json.loads(env.scale))


def app_of(ctx: Context, env: Environment, release: Release) -> App:
    return App(ctx.home, env.site, env.folder, release.slot)


def run_command(app: App, name: str, line: str, teller: Teller) -> None:
    """Run the `release` or `down` command once in a started slot. Raises Failed with its last lines."""
    teller.detail(f"{name} command: {line}")
    code = driver.run(app, line, name=name, within=LONGEST_COMMAND)
    said = driver.said(app, name, 200)
    if code == 0:
        for one in said:
            teller.detail(f"  {one}")
        return
    raise mishap.of_command(name, code, said)


# Private


def _on_swarm(ctx: Context, env: Environment, release: Release, proven: Proven, teller: Teller) -> Release:
    """The release with the image that runs; what its slot holds here is only the pointer's."""
    held = surroundings.databases(ctx, env, release, proven.settings) if proven.is_app else []
    before = database.shapes(held)
    release = swarm.prepare(ctx, env, release, proven, teller)
    program = swarm.programs(ctx, env, release, proven.settings)
    if proven.is_app and release.kind in rules.FORWARD:
        swarm_job.release(ctx, env, program[0], proven.settings, teller)
    release = database.remember(ctx, release, before, database.shapes(held))
    swarm.roll_out(ctx, program, teller)
    return release


def _start(ctx: Context, env: Environment, release: Release, proven: Proven, teller: Teller) -> Release:
    held = surroundings.databases(ctx, env, release, proven.settings)
    app, spec = app_of(ctx, env, release), spec_of(ctx, env, release, proven, held)
    layout = lay_out(ctx, env, release, proven, spec)
    before = database.shapes(held)
    if release.kind not in rules.FORWARD or not spec.release:
        driver.start(app, spec, layout)
        return database.remember(ctx, release, before, before)
    driver.start(app, spec.scaled(dict.fromkeys(spec.programs, 0)), layout)
    run_command(app, RELEASE, spec.release, teller)
    release = database.remember(ctx, release, before, database.shapes(held))
    driver.scale(app, spec.counts)
    return release


def _start_again(ctx: Context, env: Environment, live: Release) -> None:
    """A slot that runs is left alone; one that lost its keeper, or was ended by a restart of the machine, is
    started as it was.
    """
    if driver.is_running(app_of(ctx, env, live)):
        return
    build = ctx.ledger.builds.get(live.build)
    if build is None:
        log.error("%s of %s names a build that is not in the ledger", live.name, live.site)
        return
    log.warning("%s %s: starting %s again", env.site, env.name, live.slot)
    proven = serving.prove(ctx, build, None, frozenset())
    told = spec_of(ctx, env, live, proven, surroundings.databases(ctx, env, live, proven.settings))
    driver.start(app_of(ctx, env, live), told, lay_out(ctx, env, live, proven, told))


def _warm_slots(ctx: Context, env: Environment, live: Release) -> set[str]:
    """The slots of the last `keep_warm` other releases that served with today's data."""
    settings = policy.of_site(ctx.site(env.site), ctx.repository(env.site))
    own = settings.of(env.name)
    slots: list[str] = []
    if own is None or not own.keep_warm:
        return set()
    for one in ctx.ledger.releases.where(
        site=env.site, env=env.name, serves="app", data=live.data, order="number DESC", limit=200
    ):
        if one.served and one.mark != rules.BAD and one.slot not in (live.slot, *slots):
            slots.append(one.slot)
    return set(slots[: own.keep_warm])


def _own_folder(data: Path, path: str) -> None:
    """Make a folder below the data folder, and those above it, belong to whoever runs apps. That user writes here, so
    no link is followed. Raises Failed when something else is in the way.
    """
    above = os.open(data, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for part in path.split("/"):
            with contextlib.suppress(FileExistsError):
                os.mkdir(part, dir_fd=above)
                _give(part, above)
            below = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=above)
            os.close(above)
            above = below
    except OSError as error:
        raise Failed(
            f"{path} is to be a folder in {data}, and something else is in its place.", "Move that away."
        ) from error
    finally:
        os.close(above)


def _give(folder: str | Path, above: int | None = None) -> None:
    user = driver.app_user()
    if user is not None:
        os.chown(folder, user.uid, user.gid, dir_fd=above, follow_symlinks=False)


def _is_well(app: App) -> bool:
    try:
        return driver.status(app).is_well
    except GitdeployError:
        return False


def _place(ctx: Context, env: Environment) -> Place:
    return Place(ctx.home, env.site, env.folder)
