"""What would change if a build went live: files, pages, rules, settings, configuration, databases."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from typing_extensions import TypedDict

from gitdeploy.domain import config as config_rules
from gitdeploy.domain import diff as rules
from gitdeploy.domain import target as targets
from gitdeploy.domain.build import Build
from gitdeploy.domain.content_diff import diff as difference
from gitdeploy.domain.diff import Lines, Names
from gitdeploy.domain.digest import Digest
from gitdeploy.domain.environment import Environment
from gitdeploy.domain.manifest import EMPTY, Manifest
from gitdeploy.domain.release import Release
from gitdeploy.domain.site import Site
from gitdeploy.domain.tree_path import show
from gitdeploy.errors import NotFound
from gitdeploy.service import config as configs
from gitdeploy.service import history, serving, surroundings
from gitdeploy.service.context import Context
from gitdeploy.service.journal import live_release
from gitdeploy.service.teller import Teller

RULES = (b"_redirects", b"_headers", b"robots.txt")
_LARGEST = 1 << 20  # bytes of such a file
_NAMED = 5  # in a push


class Rehearsed(TypedDict):
    """By table its rows before and after, null where there is no such table."""

    changes: list[str]
    tables: dict[str, tuple[int | None, int | None]]


class Difference(Names):
    """`added`, `changed`, `removed`: paths, odd bytes escaped; `pages`: the same of addresses; `rules`: by file its
    lines; `settings`: sentences; `config`: names of variables since the live release started; `databases`: by name
    what a rehearsal of just these bytes found.
    """

    pages: Names
    rules: dict[str, Lines]
    settings: list[str]
    config: Names
    databases: dict[str, Rehearsed]


class Prospect(Difference):
    """What would go live, in place of what."""

    env: str
    live: str | None
    build: str
    commit: str


def of(ctx: Context, site: Site, env: str, target: str) -> Prospect:
    """What going live with `target` (default: the newest build) would change in `env`."""
    place = history.environment_of(ctx, site, env)
    build = candidate(ctx, site, place, target)
    live = live_release(ctx, site.name, place.name)
    return {"env": place.name, "live": live.name if live else None, "build": build.id, "commit": build.commit,
            **between(ctx, place, live, build)}  # fmt: skip


def candidate(ctx: Context, site: Site, env: Environment, target: str) -> Build:
    """The finished build that `target` names, the newest without one. Raises NotFound."""
    if target:
        commit, build = history.named(ctx, site, env.name, targets.parse(target))
        build = build or ctx.ledger.builds.one(
            site=site.name, commit=commit.id, state="built", order="id DESC"
        )
    else:
        build = ctx.ledger.builds.one(site=site.name, state="built", order="id DESC")
    if build is None:
        raise NotFound(f"{target or site.name} has no finished build.", "Push it to a branch first.")
    return build


def between(ctx: Context, env: Environment, live: Release | None, build: Build) -> Difference:
    old = ctx.store.load(Digest.parse(live.artifact)) if live else EMPTY
    new = ctx.store.load(Digest.parse(build.artifact or ""))
    change = difference(old, new)
    added, changed, removed = (
        [show(path) for path in paths] for paths in (change.added, change.changed, change.removed)
    )
    return {
        "added": added,
        "changed": changed,
        "removed": removed,
        "pages": {
            "added": rules.pages(added),
            "changed": rules.pages(changed),
            "removed": rules.pages(removed),
        },
        "rules": _rules(ctx, old, new),
        "settings": rules.settings(_settings(ctx, live), _settings_of(ctx, build)) if live else [],
        "config": _config(ctx, env, live),
        "databases": _rehearsed(ctx, env, build),
    }


def say(ctx: Context, env: Environment, live: Release | None, build: Build, teller: Teller) -> None:
    """All of it, for whoever asked for a dry run; the number of files is said already."""
    if live is None:
        return
    found = between(ctx, env, live, build)
    for name in ("added", "changed", "removed"):
        if found["pages"][name]:
            teller.detail(f"pages {name}: {_some(found['pages'][name])}")
    for file, rule in found["rules"].items():
        said = [*(f"+ {line}" for line in rule["added"]), *(f"- {line}" for line in rule["removed"])]
        teller.detail(f"{file}: {_some(said)}")
    for sentence in found["settings"]:
        teller.detail(sentence)
    if said := rules.told(found["config"]):
        teller.detail(f"configuration since {live.name} started: {_some(said)}")
    for name, one in found["databases"].items():
        teller.detail(f"{name}, as rehearsed: {_some(one['changes']) or 'the same shape'}")


# Private


def _rules(ctx: Context, old: Manifest, new: Manifest) -> dict[str, Lines]:
    found = {show(name): rules.lines(_text(ctx, old, name), _text(ctx, new, name)) for name in RULES}
    return {name: one for name, one in found.items() if one["added"] or one["removed"]}


def _text(ctx: Context, manifest: Manifest, name: bytes) -> str:
    entry = manifest.get(name)
    if entry is None or entry.kind == "link" or entry.size > _LARGEST:
        return ""
    return ctx.store.blob(entry.digest).read_bytes().decode("utf-8", "replace")


def _settings(ctx: Context, live: Release) -> Mapping[str, Any]:
    build = ctx.ledger.builds.get(live.build)
    return _settings_of(ctx, build) if build else {}


def _settings_of(ctx: Context, build: Build) -> Mapping[str, Any]:
    return serving.stated(ctx, build).settings


def _config(ctx: Context, env: Environment, live: Release | None) -> Names:
    if live is None or live.serves != "app":
        return {"added": [], "changed": [], "removed": []}
    scope = surroundings.config_scope(env)
    then = configs.at(ctx, env.site, scope, live.config)
    return config_rules.difference(
        then, configs.at(ctx, env.site, scope, surroundings.config_number(ctx, env))
    )


def _rehearsed(ctx: Context, env: Environment, build: Build) -> dict[str, Rehearsed]:
    found = ctx.ledger.rehearsals.one(
        site=env.site, env=env.name, verb="migration", subject=build.artifact, error="", order="id DESC"
    )
    if found is None:
        return {}
    said: dict[str, Any] = json.loads(found.findings).get("databases", {})
    return {
        name: {"changes": one["schema"]["changes"], "tables": one["tables"]} for name, one in said.items()
    }


def _some(found: list[str]) -> str:
    more = f", and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    return ", ".join(found[:_NAMED]) + more
