"""From what a build made, or from a tree that needs no building, to a signed artifact."""

from __future__ import annotations

import hashlib
import json
import os
import posixpath
from collections.abc import Iterator
from pathlib import Path

from gitdeploy.domain.app import AppSpec
from gitdeploy.domain.build import Build
from gitdeploy.domain.digest import Digest
from gitdeploy.domain.globs import matches
from gitdeploy.domain.manifest import Manifest
from gitdeploy.domain.recipe import APP, Recipe
from gitdeploy.domain.settings import FILE, Settings
from gitdeploy.domain.statement import Statement
from gitdeploy.errors import Failed, GitdeployError, Invalid
from gitdeploy.git import export
from gitdeploy.git.export import FileAt
from gitdeploy.git.repository import Repository
from gitdeploy.service import serving
from gitdeploy.service.context import Context
from gitdeploy.store import clock
from gitdeploy.store.output_folder import folder_files
from gitdeploy.store.publish import NewFile, Published

_KINDS = {0o100644: "file", 0o100664: "file", 0o100755: "exec", export.LINK: "link"}


def straight_from_git(
    ctx: Context, site: str, repository: Repository, tree: str, recipe: Recipe, afresh: bool
) -> Published:
    """Publish the files of a tree as they are. Only what differs from the last such build is read; `afresh` reads
    and writes everything, which also mends what was damaged in the store.
    """
    folder = _folder(repository, tree, recipe)
    old_folder, base = (None, None) if afresh else _last(ctx, site, repository, recipe)
    changed, removed = export.differences(repository, old_folder, folder)
    export.refuse_what_git_cannot_give(repository, changed)
    shown = [one for one in changed if not _hidden(recipe, one.path)]
    gone = [path for path in removed if not _hidden(recipe, path)]
    return ctx.store.publish(_new_files(repository, shown), base=base, removed=gone)


def from_folder(ctx: Context, output: Path, source: Path, recipe: Recipe, like: Manifest | None) -> Published:
    """Publish what a build wrote below `source`: the work of a stranger, so links and odd files are checked."""
    files = (one for one in folder_files(output, inside=source) if not _hidden(recipe, one.path))
    return ctx.store.publish_whole(files, like=like)


def attest(
    ctx: Context, build: Build, recipe: Recipe, settings: Settings, manifest: Manifest, by: str
) -> None:
    """Sign who (`by`) built what from what, with the settings it is served by: the record every switch is proven on.

    Raises Failed or Invalid for files that could not be served.
    """
    if not manifest.files:
        raise Failed(f"The build left no files in {recipe.output}/.", f"Check [build] output in {FILE}.")
    if recipe.kind == APP:
        AppSpec.of(settings.as_json()["processes"], {})
    else:
        serving.rules(ctx, manifest, settings.as_json())
    ctx.store.attest(
        Statement(
            site=ctx.site(build.site).id, artifact=manifest.root, build_id=build.id, builder=by,
            commit=build.commit, tree=build.tree, recipe=json.loads(build.recipe), settings=settings.as_json(),
            started_on=build.started_at or "", finished_on=clock.now(),
        )
    )  # fmt: skip


def watched(repository: Repository, tree: str, settings: Settings) -> str:
    """What stands for the tree when only some of its files matter (`[build] watch`); "" when all do."""
    patterns = (*settings.build.watch, FILE, "Procfile", "**/Procfile")
    if not settings.build.watch:
        return ""
    files, _ = export.differences(repository, None, tree)
    lines = [
        f"{one.mode:o} {one.id} {one.path!r}"
        for one in files
        if any(matches(pattern, os.fsdecode(one.path)) for pattern in patterns)
    ]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _folder(repository: Repository, tree: str, recipe: Recipe) -> str:
    path = posixpath.normpath(posixpath.join(recipe.root, recipe.output))
    with repository.tree(tree) as reader:
        found = reader.folder(path)
    if found is None:
        raise Invalid(
            f"There is no folder {path} in this commit.", f"Check [build] root and output in {FILE}."
        )
    return found


def _last(
    ctx: Context, site: str, repository: Repository, recipe: Recipe
) -> tuple[str | None, Manifest | None]:
    """The folder and manifest of the newest build that was published the same way, to start from."""
    for build in ctx.ledger.builds.where(site=site, state="built", order="id DESC", limit=10):
        said = json.loads(build.recipe)
        same = (said["kind"], said["root"], said["output"]) == (recipe.kind, recipe.root, recipe.output)
        if said["commands"] or not same or not serving.stored(ctx, build):
            continue
        try:
            return _folder(repository, build.tree, recipe), ctx.store.load(Digest.parse(build.artifact or ""))
        except (GitdeployError, KeyError):
            continue
    return None, None


def _new_files(repository: Repository, files: list[FileAt]) -> Iterator[NewFile]:
    for one, _, content in export.stream(repository, files):
        kind = _KINDS.get(one.mode, "file")
        if kind == "link":
            yield NewFile(one.path, "link", target=b"".join(content))
        else:
            yield NewFile(one.path, "exec" if kind == "exec" else "file", content=content)


def _hidden(recipe: Recipe, path: bytes) -> bool:
    return recipe.hides(os.fsdecode(path))
