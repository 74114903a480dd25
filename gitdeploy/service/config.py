"""Configuration and secrets of a site: changed by making a new version, kept encrypted."""

from __future__ import annotations

import json
from collections.abc import Iterable

from gitdeploy.domain import config as configs
from gitdeploy.domain.config import BUILD, PREVIEW, Config, ConfigVersion
from gitdeploy.domain.names import PRODUCTION
from gitdeploy.domain.role import Actor, Role
from gitdeploy.domain.site import Site
from gitdeploy.errors import NotFound
from gitdeploy.service import policy
from gitdeploy.service.context import Context
from gitdeploy.service.expectation import Expect, anything
from gitdeploy.store import clock


def change(
    ctx: Context,
    actor: Actor,
    site: Site,
    env: str,
    put: Config,
    removed: Iterable[str],
    expect: Expect = anything,
) -> ConfigVersion:
    """Make the next version of `env`'s configuration. Raises Invalid, or Refused below maintainer."""
    actor.need(Role.MAINTAINER, site.name, f"change the configuration of {env}", env)
    _refuse_unknown(ctx, site, env)
    with ctx.ledger.atomic():
        expect()
        before = newest(ctx, site.name, env)
        old = values(ctx, before)
        new = configs.changed(old, put, removed)
        number = (before.number if before else 0) + 1
        text = json.dumps(configs.as_json(new)).encode()
        version = ctx.ledger.configs.add(
            ConfigVersion(
                site.name, env, number, clock.now(), actor.name, ctx.vault.seal(text, _about(env, number))
            )
        )
        ctx.event("config.changed", actor=actor.name, site=site.name, env=env, subject=f"c{number}",
                  data=configs.difference(old, new))  # fmt: skip
    return version


def _refuse_unknown(ctx: Context, site: Site, scope: str) -> None:
    settings = policy.of_site(site, ctx.repository(site.name))
    known = {BUILD, PREVIEW, PRODUCTION, *settings.environments}
    if scope not in known:
        raise NotFound(
            f"{site.name} has no configuration for {scope!r}, only for {', '.join(sorted(known))}.",
            f"Previews share one: gitdeploy config list {site.name} --env {PREVIEW}",
        )


def newest(ctx: Context, site: str, env: str) -> ConfigVersion | None:
    return ctx.ledger.configs.one(site=site, env=env, order="number DESC")


def version(ctx: Context, site: str, env: str, number: int) -> ConfigVersion:
    found = ctx.ledger.configs.get(site, env, number)
    if found is None:
        raise NotFound(
            f"{env} of {site} has no configuration c{number}.", f"See: gitdeploy config list {site}"
        )
    return found


def values(ctx: Context, of: ConfigVersion | None) -> Config:
    """What a version holds, decrypted; nothing for None."""
    if of is None:
        return {}
    return configs.from_json(json.loads(ctx.vault.open(of.sealed, _about(of.env, of.number))))


def at(ctx: Context, site: str, env: str, number: int) -> Config:
    """What the configuration `number` held; nothing for 0."""
    return values(ctx, version(ctx, site, env, number)) if number else {}


def put_back(ctx: Context, actor: Actor, site: Site, env: str, before: ConfigVersion | None) -> None:
    """Make what was before the newest version again, because nothing could run with that."""
    old, new = values(ctx, before), values(ctx, newest(ctx, site.name, env))
    changed = {name: one for name, one in old.items() if new.get(name) != one}
    change(ctx, actor, site, env, changed, set(new) - set(old))


def for_builds(ctx: Context, site: str) -> Config:
    return values(ctx, newest(ctx, site, BUILD))


def _about(env: str, number: int) -> str:
    return f"configuration c{number} of {env}"
