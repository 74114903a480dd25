"""Between a build and what visitors get: is it stored, is it proven, how does it answer."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from typing_extensions import TypedDict

from gitdeploy.domain.build import Build
from gitdeploy.domain.content_diff import ContentDiff, diff
from gitdeploy.domain.digest import Digest
from gitdeploy.domain.manifest import EMPTY, Manifest
from gitdeploy.domain.names import host
from gitdeploy.domain.recipe import APP
from gitdeploy.domain.release import Release
from gitdeploy.domain.serving import Kind, Redirect, Rules, decide, parse_headers, parse_redirects
from gitdeploy.domain.statement import Statement
from gitdeploy.domain.tree import Folder
from gitdeploy.domain.tree_path import show as show_path
from gitdeploy.errors import Failed, NotFound, NotProven
from gitdeploy.runtime.routes import Routes
from gitdeploy.runtime.slots import Environment as Place
from gitdeploy.service.context import Context
from gitdeploy.service.teller import Teller


@dataclass(frozen=True)
class Proven:
    """What may go live: its files, its page rules, and the settings that were signed with it."""

    manifest: Manifest
    serving: Manifest | None
    rules: Rules
    settings: Mapping[str, Any]
    is_app: bool

    @property
    def on_swarm(self) -> bool:
        return on_swarm(self.settings)


def on_swarm(settings: Mapping[str, Any]) -> bool:
    """Whether what was signed with these settings runs on the swarm; what was signed before there was one does not."""
    return bool(settings.get("runtime", {}).get("driver", "local") == "swarm")


def stored(ctx: Context, build: Build) -> bool:
    """Whether a build's artifact is there to be served (its bytes are proven when it is)."""
    return build.artifact is not None and ctx.store.has(build.artifact, _signed_as(build))


def prove(ctx: Context, build: Build, live: Release | None, fresh: frozenset[Digest]) -> Proven:
    """Check signature, provenance and bytes; raises NotProven naming what does not hold.

    A file that the environment serves already, or that this request wrote, is not read again.
    """
    source = origin(ctx, build)
    artifact = Digest.parse(build.artifact or "")
    serving = ctx.store.load(Digest.parse(live.artifact)) if live and ctx.store.has(live.artifact) else None
    signed = ctx.store.prove(
        artifact, source.id, site=ctx.site(build.site).id, tree=source.tree, serving=serving, fresh=fresh
    )
    manifest = ctx.store.load(artifact)
    is_app = signed.recipe.get("kind") == APP
    page_rules = Rules() if is_app else rules(ctx, manifest, signed.settings)
    return Proven(manifest, serving, page_rules, signed.settings, is_app)


def settings(ctx: Context, release: Release) -> Mapping[str, Any]:
    """What was signed with a release's files: `Settings.as_json`. Raises NotProven, NotFound."""
    build = ctx.ledger.builds.get(release.build)
    if build is None:
        raise NotFound(f"{release.name} names the build {release.build}, which the ledger does not have.")
    return stated(ctx, build).settings


def stated(ctx: Context, build: Build) -> Statement:
    """What was signed with the files of a build. Raises NotProven."""
    return ctx.store.stated(Digest.parse(build.artifact or ""), _signed_as(build))


class Verified(TypedDict):
    """`statement` is what is signed; `files` and `bytes` were read."""

    release: str
    build: str
    commit: str
    statement: dict[str, object]
    files: int
    bytes: int


def verify(ctx: Context, release: Release, teller: Teller) -> Verified:
    """Read every byte of a release again and check it against what was signed; raises NotProven."""
    build = ctx.ledger.builds.get(release.build)
    if build is None:
        raise NotProven(f"{release.name} names the build {release.build}, which the ledger does not have.")
    teller.step(f"verifying {release.name} of {release.site}")
    source = origin(ctx, build)
    verified = ctx.store.verify(Digest.parse(release.artifact), source.id)
    prove(ctx, build, None, frozenset())
    teller.done(f"{release.name} is what {source.id} built from {source.commit[:10]}")
    return {
        "release": release.name, "build": source.id, "commit": source.commit,
        "statement": asdict(verified.statement), "files": verified.files, "bytes": verified.bytes,
    }  # fmt: skip


def origin(ctx: Context, build: Build) -> Build:
    """The build that made the artifact: this one, or the one it was reused from."""
    source = ctx.ledger.builds.get(_signed_as(build))
    if source is None or source.key != build.key:
        raise NotProven(
            f"{build.id} takes its files from {_signed_as(build)}, which is not a build of the same thing.",
            f"Build it again: git push managed HEAD:redeploy/{build.commit[:10]}",
        )
    return source


def rules(ctx: Context, manifest: Manifest, settings: Mapping[str, Any]) -> Rules:
    """The page rules of an artifact: its [static] settings and its `_redirects` and `_headers` files.

    Raises Invalid with file and line.
    """
    static = settings.get("static", {})
    return Rules(
        redirects=parse_redirects(_text(ctx, manifest, b"_redirects")),
        headers=parse_headers(_text(ctx, manifest, b"_headers")),
        spa=bool(static.get("spa", False)),
        clean_urls=bool(static.get("clean_urls", False)),
        not_found=str(static.get("not_found", "404.html")),
    )


def prepare(ctx: Context, place: Place, slot: str, proven: Proven) -> None:
    place.prepare(slot, ctx.store.materialise(proven.manifest, serving=proven.serving), proven.rules)


def check_health(proven: Proven) -> str:
    """How the new release will answer `[health] path`, decided by the edge's own rules; raises Failed."""
    started = time.monotonic()
    health = proven.settings.get("health", {})
    path = str(health.get("path", "/"))
    expect = [int(one) for one in health.get("expect", [200])]
    tree = proven.manifest.resolved().folder

    def exists(name: str) -> Kind | None:
        found = tree.find(os.fsencode(name)) if name else tree
        return "folder" if isinstance(found, Folder) else "file" if found else None

    answer = decide(proven.rules, path, exists)
    status = answer.status
    if status not in expect and (path, expect) != ("/", [200]):
        raise Failed(
            f"GET {path} would answer {status}, and [health] expects {' or '.join(map(str, expect))}.",
            "Mend the site or [health] in gitdeploy.toml, and push again.",
        )
    if isinstance(answer, Redirect):
        return f"GET {path} answers {status} to {answer.to}"
    missing = "" if status == 200 else ": there is no index.html"
    return f"healthy in {time.monotonic() - started:.1f} s (GET {path} {status}{missing})"


def show(ctx: Context, build: Build, live: Release | None, fresh: frozenset[Digest], *, label: str) -> None:
    """Serve one build under its own address, apart from any environment. `live` and `fresh` as for `prove`."""
    place = Place(ctx.home, build.site, label)
    prepare(ctx, place, "only", prove(ctx, build, live, fresh))
    place.point("only")
    Routes(ctx.home).add(host(build.site, ctx.server.domain, label=label), build.site, label)


def say_artifact(ctx: Context, build: Build, reused: bool, teller: Teller) -> None:
    short = (build.artifact or "")[:12]
    if not reused:
        teller.detail(f"artifact {short} from {build.id}, signed")
        return
    source = ctx.ledger.builds.get(_signed_as(build)) or build
    where = source.ref.removeprefix("refs/heads/")
    teller.detail(f"artifact {short} built on {where} as {source.id}, reused: nothing is built again")


def say_difference(ctx: Context, live: Release | None, build: Build, teller: Teller) -> None:
    """One line: what changes for visitors."""
    if live is None or not ctx.store.has(live.artifact):
        return
    change = _diff(ctx, live, build)
    parts = [(len(change.changed), "changed"), (len(change.added), "added"), (len(change.removed), "removed")]
    said = ", ".join(f"{count} {what}" for count, what in parts if count)
    teller.detail(f"files: {said}" if said else f"the same files as {live.name}")


def difference(ctx: Context, live: Release | None, build: Build) -> dict[str, list[str]]:
    """`{added, changed, removed}`: paths, odd bytes escaped."""
    change = _diff(ctx, live, build)
    return {
        name: [show_path(path) for path in getattr(change, name)] for name in ("added", "changed", "removed")
    }


def _diff(ctx: Context, live: Release | None, build: Build) -> ContentDiff:
    old = ctx.store.load(Digest.parse(live.artifact)) if live else EMPTY
    return diff(old, ctx.store.load(Digest.parse(build.artifact or "")))


def _signed_as(build: Build) -> str:
    return build.reused_from or build.id


def _text(ctx: Context, manifest: Manifest, path: bytes) -> str:
    entry = manifest.get(path)
    if entry is None or entry.kind not in ("file", "exec"):
        return ""
    return ctx.store.blob(entry.digest).read_bytes().decode("utf-8", "replace")
