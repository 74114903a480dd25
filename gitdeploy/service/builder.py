"""Builders on other machines: added, listed, removed, and given work."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import gitdeploy
from gitdeploy import process
from gitdeploy.build import builder, sandbox, there, workspace
from gitdeploy.build.run import Cancel
from gitdeploy.build.there import Away, Reach
from gitdeploy.domain.builder import Address, Builder
from gitdeploy.domain.recipe import Recipe
from gitdeploy.domain.role import EVERY_SITE, Actor, Role
from gitdeploy.domain.site import Site
from gitdeploy.errors import Busy, Failed, NotFound
from gitdeploy.process import Command
from gitdeploy.service.context import Context
from gitdeploy.store import clock, durable

_KEY, _HOSTS = "builders", "builders.hosts"
_MAKING = threading.Lock()


@dataclass(frozen=True)
class Output:
    """What was built: `folder`, with nothing above `inside` that the build could have changed. `kind` is the builder
    as a build's key names it, `by` as the provenance does.
    """

    folder: Path
    inside: Path
    kind: str
    by: str


def add(ctx: Context, actor: Actor, name: str, address: str, places: int = 2) -> Builder:
    """Have a machine build from now on, once it has shown that it can. Raises Failed with what is missing there."""
    actor.need(Role.ADMIN, EVERY_SITE, "add builders")
    row = Builder(name, str(Address.parse(address)), places, clock.now(), actor.name)
    if ctx.ledger.builders.get(name) is not None:
        raise Busy(f"There is a builder {name} already.", f"Remove it first: gitdeploy builder remove {name}")
    line = _line_for(ctx)
    try:
        check(ctx, row)
    except Away as error:
        user = Address.parse(row.address).user
        refused = "Permission denied" in error.message
        hint = error.hint or (
            f"Put this line into ~/.ssh/authorized_keys of {user} there, then try again: {line}"
            if refused
            else "Check the address, and that sshd answers there, then try again."
        )
        raise Failed(f"{name} is not added: {error.message}", hint) from None
    with ctx.ledger.atomic():
        ctx.ledger.builders.add(row)
        data = {"address": row.address, "places": row.places}
        ctx.event("builder.added", actor=actor.name, subject=name, data=data)
    ctx.crew.found(name)
    settle(ctx)
    return row


def listing(ctx: Context, actor: Actor) -> list[Builder]:
    actor.need(Role.OPERATOR, EVERY_SITE, "see the builders")
    return ctx.ledger.builders.where(order="name")


def remove(ctx: Context, actor: Actor, name: str) -> Builder:
    """Give it no more work; what it builds now it finishes. Its host key is forgotten."""
    actor.need(Role.ADMIN, EVERY_SITE, "remove builders")
    row = ctx.ledger.builders.get(name)
    if row is None:
        raise NotFound(f"There is no builder {name[:40]!r}.", "See: gitdeploy builder list")
    with ctx.ledger.atomic():
        ctx.ledger.builders.remove(row)
        ctx.event("builder.removed", actor=actor.name, subject=name)
    settle(ctx)
    _forget_host(ctx, Address.parse(row.address))
    return row


def check(ctx: Context, row: Builder, patience: int = 10) -> str:
    """The version of gitdeploy there. Raises Away when it cannot be reached, or would not build as it should."""
    said = there.ask(_reach(ctx, row), patience)
    version, kind, why_not = (str(said.get(one, ""))[:200] for one in ("version", "builder", "why_not"))
    if kind == _kind():
        return version
    if why_not:
        raise Away(f"Builds would not be isolated there: {why_not}.", "Mend that there, then try again.")
    raise Away(
        f"gitdeploy {version} there builds as {kind}, this server as {_kind()}.",
        f"Install gitdeploy {gitdeploy.__version__} there.",
    )


def settle(ctx: Context) -> None:
    """As many builds at once as there are places."""
    places = sum(row.places for row in ctx.ledger.builders.where())
    ctx.queue.resize(places or ctx.server.builders)


def kind(ctx: Context, recipe: Recipe) -> str:
    """Who will build, as a build's key names it: the same whichever builder it will be."""
    return _kind() if recipe.commands and ctx.ledger.builders.one() else builder.builder_id()


def build(
    ctx: Context, site: Site, recipe: Recipe, source: Path, log: Callable[[bytes], None], cancel: Cancel,
    variables: Mapping[str, str], secrets: Mapping[str, str],
) -> Output:  # fmt: skip
    """Build the tree in `source` on the builder with the most room; on this machine when none can be reached.

    One that goes away in the middle does not fail the build: it is made once more, elsewhere.
    """
    tried: set[str] = set()
    lost: list[str] = []
    built = source.with_name("built")
    while True:
        with ctx.crew.place(ctx.ledger.builders.where, ctx.server.builders, tried, cancel) as chosen:
            if chosen is None:
                if ctx.ledger.builders.one():
                    _say(log, "no builder can be reached: building on the server itself")
                cache = ctx.home.cache / site.name
                cache.mkdir(parents=True, exist_ok=True)
                folder = builder.build(
                    recipe, source, cache, log, cancel, variables, secrets, home=ctx.home.root
                )
                return Output(folder, source, builder.builder_id(), builder.builder_id())
            _say(log, f"on the builder {chosen.name}")
            try:
                reach = _reach(ctx, chosen)
                there.build(
                    reach, site.id, _kind(), recipe, source, built, log, cancel, variables, secrets
                )  # fmt: skip
            except Away as error:
                workspace.remove(built)
                ctx.crew.lost(chosen.name, error.message)
                tried.add(chosen.name)
                lost += [chosen.name] * error.began
                _say(log, f"the builder {chosen.name}: {error.message}")
            else:
                ctx.crew.found(chosen.name)
                return Output(built, built, _kind(), f"{_kind()}@{chosen.name}")
        if len(lost) > 1:
            raise Failed(
                f"The builders {' and '.join(lost)} went away while they built it.", "See: gitdeploy doctor"
            )
        if lost:
            _say(log, "building once more, elsewhere")


# Private


def _kind() -> str:
    """What every builder elsewhere has to be."""
    return builder.builder_id_at(sandbox.BUBBLEWRAP)


def _say(log: Callable[[bytes], None], text: str) -> None:
    log(text.encode() + b"\n")


def _reach(ctx: Context, row: Builder) -> Reach:
    return Reach(Address.parse(row.address), ctx.home.keys / _KEY, ctx.home.keys / _HOSTS)


def _line_for(ctx: Context) -> str:
    """The line that lets this server, and with this key it alone, build on another machine and do nothing else."""
    key = ctx.home.keys / _KEY
    with _MAKING:
        if not key.exists():
            durable.make_folder(key.parent, mode=0o700)
            new = key.with_name(f".{_KEY}.new")
            for path in (new, new.with_name(f"{new.name}.pub")):
                path.unlink(missing_ok=True)
            named = f"gitdeploy@{socket.gethostname()}"
            words = ("-q", "-t", "ed25519", "-N", "", "-C", named, "-f", str(new))
            process.check(Command(("ssh-keygen", *words)))
            durable.write_file(key.with_name(f"{_KEY}.pub"), Path(f"{new}.pub").read_bytes())
            durable.write_file(key, new.read_bytes(), mode=0o600)
            new.unlink()
            Path(f"{new}.pub").unlink()
    public = key.with_name(f"{_KEY}.pub").read_text().strip()
    return f'restrict,command="gitdeploy build-for" {public}'


def _forget_host(ctx: Context, address: Address) -> None:
    hosts = ctx.home.keys / _HOSTS
    if hosts.exists():
        host = address.host if address.port == 22 else f"[{address.host}]:{address.port}"
        process.run(Command(("ssh-keygen", "-q", "-R", host, "-f", str(hosts))))
        hosts.with_name(f"{hosts.name}.old").unlink(missing_ok=True)
