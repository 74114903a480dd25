"""What a release finds in its environment, wherever it runs: configuration, databases, and what it is asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gitdeploy.domain.app import Check
from gitdeploy.domain.config import PREVIEW
from gitdeploy.domain.environment import Environment
from gitdeploy.domain.names import host
from gitdeploy.domain.release import Release
from gitdeploy.service import config, database
from gitdeploy.service.context import Context
from gitdeploy.service.database import Held


def config_number(ctx: Context, env: Environment) -> int:
    """Today's configuration of an environment; 0 when nothing is set."""
    found = config.newest(ctx, env.site, config_scope(env))
    return found.number if found else 0


def config_scope(env: Environment) -> str:
    """Whose configuration an environment's processes see: previews share one, and never see production's."""
    return PREVIEW if env.kind == "preview" else env.name


def databases(ctx: Context, env: Environment, release: Release, settings: Mapping[str, Any]) -> list[Held]:
    """The databases that a release's processes use, by the settings that were signed with it; made if need be."""
    wanted = settings.get("data", {}).get("databases", ())
    found = config.at(ctx, env.site, config_scope(env), release.config)
    return database.of(ctx, env, wanted, found, release.data)


def health_check(ctx: Context, env: Environment, settings: Mapping[str, Any]) -> Check:
    """What an app has to answer in an environment, by the settings that were signed with it."""
    return Check.from_json(
        settings.get("health", {}), host=host(env.site, ctx.server.domain, label=env.label)
    )
