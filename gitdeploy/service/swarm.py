"""What runs of a release on the swarm: its image in the registry, its programs as services of the engine.

The engine itself goes from one release to the next, container by container, and back when a new one does not become
healthy: `roll_out` is where visitors begin to get the new release, and the switch that follows writes down what has
become true. What should run is what the ledger says is live: `keep` compares, and brings back what is not so. That
settles a crash anywhere in between, and a server that was restored elsewhere finds what runs by its labels and leaves
it as it is.

What needs the engine's library is imported where it is used: that takes 0.2 s, and most servers have no swarm.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from gitdeploy.domain.app import WEB, AppSpec
from gitdeploy.domain.environment import Environment
from gitdeploy.domain.image import EDGE, HOME
from gitdeploy.domain.names import PRODUCTION, host
from gitdeploy.domain.release import Release
from gitdeploy.domain.swarm import LABEL, Unit, service_name
from gitdeploy.errors import Failed, Invalid
from gitdeploy.runtime.slots import Environment as Place
from gitdeploy.runtime.swarm.engine import PATIENCE, Engine, Service
from gitdeploy.service import config, database, image, policy, serving, surroundings
from gitdeploy.service.context import Context
from gitdeploy.service.serving import Proven
from gitdeploy.service.teller import Teller

log = logging.getLogger("gitdeploy.swarm")


def engine_of(ctx: Context, *, patience: float = PATIENCE) -> Engine:
    """The swarm of server.toml; `patience` is for how many seconds a manager may be looked for."""
    said = ctx.server.swarm
    return Engine(
        tuple(said.engine.split()), said.registry.partition("/")[0], said.user, said.password, patience
    )


def prepare(ctx: Context, env: Environment, release: Release, proven: Proven, teller: Teller) -> Release:
    """Have the image of `release` in the registry, proven, and the edge on every node. Returns the release with its
    image. Nothing that runs is touched. Raises Failed, Invalid, NotProven.
    """
    from gitdeploy.runtime.swarm import edge

    own = policy.of_commit(ctx.repository(env.site), release.commit).of(env.name)
    if own is not None and own.watch:
        teller.detail("watch is not kept on the swarm: nobody rolls back what fails after it is live")
    _refuse_folders(proven.settings)
    _refuse_gate(ctx, env)
    build = ctx.ledger.builds.get(release.build)
    if build is None:
        raise Failed(f"{release.name} names the build {release.build}, which the ledger does not have.")
    reference = image.ensure(ctx, ctx.site(env.site), build, proven, teller).reference
    said = ctx.server.swarm
    edge.ensure(engine_of(ctx), said.network, said.edge, said.port)
    lay_out(ctx, env, release)
    return ctx.ledger.releases.change(release, image=reference)


def lay_out(ctx: Context, env: Environment, release: Release) -> None:
    """A slot for the pointer. Its visitors are told that there is nothing here: they come to the swarm's own edge."""
    place = Place(ctx.home, env.site, env.folder)
    place.prepare_app(release.slot, place.slot_folder(release.slot), has_web=False)


def programs(ctx: Context, env: Environment, release: Release, settings: Mapping[str, Any]) -> list[Unit]:
    """What the swarm runs for a release that has its image; `web` first."""
    site = ctx.site(env.site)
    own = host(env.site, ctx.server.domain, label=env.label)
    hosts = tuple(sorted([own, *(one.host for one in ctx.ledger.domains.where(site=env.site, env=env.name))]))
    check = surroundings.health_check(ctx, env, settings)
    like = Unit(
        service_name(env.site, env.folder, WEB), site.id, env.folder, WEB, release.slot, release.image,
        line=" ".join(EDGE), check=check, hosts=hosts, placement=tuple(settings["runtime"]["placement"]),
    )  # fmt: skip
    if release.serves == "files":
        # Pages are small, and every node has an edge before them; of a preview one is enough.
        return [replace(like, folder=HOME, replicas=None if env.name == PRODUCTION else 1)]
    spec, secrets = _spec(ctx, env, release, settings)
    visible = {name: value for name, value in spec.environment.items() if name not in secrets}
    hidden = {name: value for name, value in spec.environment.items() if name in secrets}
    like = replace(like, environment=visible, secrets=hidden)
    found = [
        replace(
            like, name=service_name(env.site, env.folder, name), program=name, line=one.command, replicas=one.count,
            memory=one.memory, stop_timeout=one.stop_timeout, check=check if name == WEB else None,
            hosts=hosts if name == WEB else (),
        )
        for name, one in spec.programs.items()
    ]  # fmt: skip
    return sorted(found, key=lambda one: (one.program != WEB, one.program))


def roll_out(ctx: Context, units: list[Unit], teller: Teller) -> None:
    """Raises Failed, with the containers' last lines, when one of them does not become healthy. Programs before it are
    new by then: `keep` takes them back.
    """
    from gitdeploy.runtime.swarm import service

    engine = engine_of(ctx)
    for unit in units:
        teller.detail(f"the swarm rolls out {_said(unit)}")
        service.put(engine, unit, ctx.server.swarm.network)
    teller.detail(f"healthy on the swarm: {', '.join(map(_said, units))}")


def keep(ctx: Context, env: Environment, live: Release | None) -> None:
    """Have the swarm run what is live, and nothing else of this environment; it is told, and not waited for. Costs
    nothing where no release ever ran there. Raises Failed when it cannot be asked, or refuses.
    """
    if not _is_there(ctx, env):
        return
    from gitdeploy.runtime.swarm import service

    engine = engine_of(ctx, patience=5.0)
    wanted = []
    if live is not None and live.image:
        wanted = programs(ctx, env, live, serving.settings(ctx, live))
    mine, secrets = engine.whole(_labels(ctx, env))
    found = {label(one, "program"): one for one in mine if not _is_job(one)}
    for unit in wanted:
        if service.tell(engine, unit, ctx.server.swarm.network, found.pop(unit.program, None)):
            log.warning("%s %s: %s is put back to %s", env.site, env.name, unit.program, unit.release)
    engine.remove(found.values())
    kept = {one.secret for one in wanted}
    engine.remove_secrets(one for one in secrets if one["Spec"]["Name"] not in kept)


def end(ctx: Context, env: Environment) -> None:
    """Have the swarm run nothing of an environment."""
    keep(ctx, env, None)


def clear_nodes(ctx: Context) -> int:
    """Remove from the nodes what they have of releases that are not kept; how many images."""
    said = ctx.server.swarm
    if not said.registry or ctx.ledger.releases.one(sql="image != ''") is None:
        return 0
    from gitdeploy.runtime.swarm import leftovers

    keep = {one.reference for one in ctx.ledger.images.where()}
    return leftovers.remove(engine_of(ctx), said.registry, keep)


def scale(ctx: Context, env: Environment, live: Release, counts: Mapping[str, int]) -> None:
    """Have so many containers of these programs. Raises Invalid for a program that is not there."""
    from gitdeploy.runtime.swarm import service

    units = programs(ctx, env, live, serving.settings(ctx, live))
    for name in counts:
        if name not in {one.program for one in units}:
            raise Invalid(f"{env.name} of {env.site} has no program {name!r}.", "See: gitdeploy ps")
    for unit in units:
        if unit.program in counts:
            service.put(
                engine_of(ctx), replace(unit, replicas=counts[unit.program]), ctx.server.swarm.network
            )


def services(ctx: Context, env: Environment, engine: Engine) -> list[Service]:
    """Those of the programs of an environment that stay."""
    return [one for one in engine.services(_labels(ctx, env)) if not _is_job(one)]


def label(of: Service, name: str) -> str:
    return str(of["Spec"]["Labels"].get(f"{LABEL}.{name}", ""))


# Private


def _is_there(ctx: Context, env: Environment) -> bool:
    return ctx.ledger.releases.one(site=env.site, env=env.name, sql="image != ''") is not None


def _spec(
    ctx: Context, env: Environment, release: Release, settings: Mapping[str, Any]
) -> tuple[AppSpec, frozenset[str]]:
    """What a release runs, with today's counts, and which of its variables are secret."""
    found = config.at(ctx, env.site, surroundings.config_scope(env), release.config)
    urls = database.told(surroundings.databases(ctx, env, release, settings))
    told = {"GITDEPLOY_SITE": env.site, "GITDEPLOY_ENV": env.name, "GITDEPLOY_RELEASE": release.slot}
    variables = {**told, **urls, **{name: one.value for name, one in found.items()}}
    secrets = frozenset({*urls, *(name for name, one in found.items() if one.secret)})
    return AppSpec.of(settings["processes"], variables, secrets).scaled(json.loads(env.scale)), secrets


def _refuse_folders(settings: Mapping[str, Any]) -> None:
    kept: Mapping[str, Any] = settings.get("data", {})
    local = [*kept.get("files", ()), *(one for one in kept.get("databases", ()) if one.startswith("sqlite:"))]
    if local:
        raise Invalid(
            f"{local[0]} would lie on one node of the swarm, and be missed on the others.",
            'Keep data in a database server or a bucket, or leave [runtime] driver at "local".',
        )


def _refuse_gate(ctx: Context, env: Environment) -> None:
    """The edge of the swarm would let in whoever is kept out here."""
    if Place(ctx.home, env.site, env.folder).is_gated():
        raise Invalid(
            f"{env.name} of {env.site} has a password, an allow-list or a maintenance page, which the "
            "swarm's edge knows nothing of.",
            'Take it away and do it in front of the swarm, or leave [runtime] driver at "local".',
        )


def _labels(ctx: Context, env: Environment) -> dict[str, str]:
    return {f"{LABEL}.site": ctx.site(env.site).id, f"{LABEL}.env": env.folder}


def _is_job(one: Service) -> bool:
    """Something that is run once: it goes when it has ended."""
    return any(name in one["Spec"].get("Mode", {}) for name in ("ReplicatedJob", "GlobalJob"))


def _said(unit: Unit) -> str:
    return f"{unit.program} on every node" if unit.replicas is None else f"{unit.replicas} x {unit.program}"
