"""What is live in an environment, told to another system in its own words."""

from __future__ import annotations

import json

from typing_extensions import TypedDict

from gitdeploy.domain import kubernetes
from gitdeploy.domain.app import AppSpec, Check
from gitdeploy.domain.database import variables
from gitdeploy.domain.kubernetes import Export, Manifest
from gitdeploy.domain.names import host
from gitdeploy.domain.role import Actor, Role
from gitdeploy.domain.site import Site
from gitdeploy.errors import Invalid, NotFound
from gitdeploy.service import config, history, serving, surroundings
from gitdeploy.service.context import Context
from gitdeploy.service.journal import live_release


class Exported(TypedDict):
    """`notes` are what the manifests cannot say; `secrets` the names of what has to be given there."""

    manifests: list[Manifest]
    notes: list[str]
    secrets: list[str]


def to_kubernetes(ctx: Context, actor: Actor, site: Site, env: str, image: str) -> Exported:
    """Manifests of the live release; `image` takes the place of the one that is known. Raises NotFound when nothing is
    live, Invalid without an image.
    """
    where = history.environment_of(ctx, site, env)
    actor.need(Role.MAINTAINER, site.name, f"see how {where.name} is run", where.name)
    live = live_release(ctx, site.name, where.name)
    if live is None:
        raise NotFound(f"Nothing is live in {where.name} of {site.name}.", "Push its branch first.")
    image = image or live.image
    if not image:
        raise Invalid(
            f"{live.name} of {site.name} has no image.",
            "Name one: --image registry.example.org/blog@sha256:…",
        )
    settings = serving.settings(ctx, live)
    found = (
        config.at(ctx, site.name, surroundings.config_scope(where), live.config)
        if live.serves != "files"
        else {}
    )
    data = settings.get("data", {})
    urls = [one for names in variables(data.get("databases", ())).values() for one in names]
    name = site.name if not where.label else f"{site.name}-{where.label}"
    domains = [one.host for one in ctx.ledger.domains.where(site=site.name, env=where.name, order="host")]
    is_app = bool(settings.get("processes")) and live.serves != "files"
    export = Export(
        name=name, release=live.name, commit=live.commit, artifact=live.artifact, image=image,
        hosts=(host(site.name, ctx.server.domain, label=where.label), *domains),
        spec=AppSpec.of(settings["processes"], {}).scaled(json.loads(where.scale)) if is_app else None,
        check=surroundings.health_check(ctx, where, settings) if is_app else Check(),
        variables={key: one.value for key, one in found.items() if not one.secret},
        secrets=tuple(sorted({*urls, *(key for key, one in found.items() if one.secret)})),
        cron=settings.get("cron", {}) if is_app else {},
    )  # fmt: skip
    notes = kubernetes.notes(export)
    if data.get("files") or any(one.startswith("sqlite") for one in data.get("databases", ())):
        notes.append("The app keeps files: mount a volume for them, which this does not make.")
    return Exported(manifests=kubernetes.manifests(export), notes=notes, secrets=list(export.secrets))
