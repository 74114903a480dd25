"""Domains of a site's own: added, listed, removed. The ledger says what is wanted; links make it so."""

from __future__ import annotations

import threading
from collections.abc import Iterable

from typing_extensions import TypedDict

from gitdeploy.domain.domain_name import Domain, DomainName
from gitdeploy.domain.role import Actor, Role
from gitdeploy.domain.site import Site
from gitdeploy.errors import Busy, Invalid, NotFound
from gitdeploy.runtime.routes import Routes
from gitdeploy.service import history
from gitdeploy.service.context import Context
from gitdeploy.store import certificates, clock
from gitdeploy.store.certificates import Certificate

_turn = threading.Lock()  # a name is read from the ledger and linked by one at a time


def add(
    ctx: Context, actor: Actor, site: Site, name: DomainName, env: str, own: Certificate | None = None
) -> Domain:
    """Lead a domain to an environment of the site; one that leads to another of its environments is moved.

    Its other name (with or without `www.`) is redirected to it. `own` is the owner's certificate for it.
    """
    actor.need(Role.MAINTAINER, site.name, "give it a domain")
    if name.is_within(ctx.server.domain):
        raise Invalid(f"{name} belongs to the server itself.", "Its sites and previews answer there already.")
    where = history.environment_of(ctx, site, env)
    if where.kind == "preview":
        raise Invalid(
            f"{where.name} is a preview, which goes with its branch.",
            "Give the branch an environment in gitdeploy.toml, or add the domain to production.",
        )
    if own is not None:
        _check(ctx, own, name)
    with _turn:
        with ctx.ledger.atomic():
            for taken in (ctx.ledger.domains.get(name), _leading(ctx, name)):
                if taken is not None and taken.site != site.name:
                    raise Busy(f"{name} is taken by another site.", "It has to be removed there first.")
            if (old := ctx.ledger.domains.get(name)) is not None:
                ctx.ledger.domains.remove(old)
            made = ctx.ledger.domains.add(Domain(name, site.name, where.name, clock.now(), actor.name))
            ctx.event("domain.added", actor=actor.name, site=site.name, env=where.name, subject=name)
        if own is not None:
            for host in (name, name.other):
                if own.covers(host) and (host == name or ctx.ledger.domains.get(host) is None):
                    certificates.put(ctx.home.certificates, host, own)
        _settle(ctx, (name, name.other))
    return made


def remove(ctx: Context, actor: Actor, site: Site, name: DomainName) -> None:
    """Let a domain and its redirect answer no more."""
    actor.need(Role.MAINTAINER, site.name, "take a domain from it")
    with _turn:
        with ctx.ledger.atomic():
            row = ctx.ledger.domains.get(name)
            if row is None or row.site != site.name:
                raise NotFound(
                    f"{name} is not a domain of {site.name}.", f"See: gitdeploy domain list {site.name}"
                )
            ctx.ledger.domains.remove(row)
            ctx.event("domain.removed", actor=actor.name, site=site.name, env=row.env, subject=name)
        _settle(ctx, (name, name.other))


def listing(ctx: Context, site: Site, *, after: str = "", limit: int = -1) -> list[Domain]:
    """By name; `after` is that of the last one already seen."""
    return ctx.ledger.domains.where(site=site.name, order="host", limit=limit, sql="host > ?", given=(after,))


class SiteDomain(TypedDict):
    """`redirected` is the name that leads to this one; `certificate` is own or automatic, null without HTTPS."""

    domain: str
    site: str
    env: str
    url: str
    redirected: str | None
    certificate: str | None
    created_at: str
    actor: str


def describe(ctx: Context, row: Domain) -> SiteDomain:
    other = row.name.other
    has_own = (ctx.home.certificates / f"{row.host}.pem").exists()
    return {
        "domain": row.host,
        "site": row.site,
        "env": row.env,
        "url": ctx.domain_url(row.host),
        "redirected": other if _target(ctx, other) == row else None,
        "certificate": ("own" if has_own else "automatic") if ctx.tls else None,
        "created_at": row.created_at,
        "actor": row.actor,
    }


def settle(ctx: Context, site: str = "") -> None:
    """Make the links agree with the ledger: all of them, or those of one site."""
    with _turn:
        rows = ctx.ledger.domains.where(site=site) if site else ctx.ledger.domains.where()
        linked = Routes(ctx.home).domains() if not site else []
        hosts = {DomainName(host) for host in (*(row.host for row in rows), *linked)}
        _settle(ctx, {name for host in hosts for name in (host, host.other)})


def recover(ctx: Context, site: str) -> None:
    """The domains of a site whose ledger was lost: what is linked was wanted."""
    folders = {one.folder: one.name for one in ctx.ledger.environments.where(site=site)}
    routes = Routes(ctx.home)
    linked = {one.host: one for one in routes.hosts()}
    for host in routes.domains():
        one = linked.get(host)
        if one is not None and one.site == site and one.env in folders:
            ctx.ledger.domains.add(Domain(host, site, folders[one.env], clock.now(), "recover"))


def _settle(ctx: Context, names: Iterable[DomainName]) -> None:
    routes = Routes(ctx.home)
    for name in names:
        row = _target(ctx, name)
        if row is None:
            routes.disown(name)
            certificates.remove(ctx.home.certificates, name)
        elif row.host == name:
            routes.own(name, row.site, history.environment_of(ctx, ctx.site(row.site), row.env).folder)
        else:
            routes.redirect(name, row.host)


def _target(ctx: Context, name: DomainName) -> Domain | None:
    """The domain that answers for `name`: itself, or the one it is redirected to."""
    if name.is_within(ctx.server.domain):
        return None
    return ctx.ledger.domains.get(name) or _leading(ctx, name)


def _leading(ctx: Context, name: DomainName) -> Domain | None:
    """The domain whose other name this is."""
    row = ctx.ledger.domains.get(name.other)
    return row if row is not None and row.name.other == name else None


def _check(ctx: Context, own: Certificate, name: DomainName) -> None:
    if not ctx.tls:
        raise Invalid("This server speaks no TLS.", "Start it with --edge-tls, such as 0.0.0.0:443.")
    if not own.covers(name):
        said = ", ".join(own.names[:5]) or "no name at all"
        raise Invalid(f"The certificate is for {said}, not for {name}.", "Give the one for this domain.")
