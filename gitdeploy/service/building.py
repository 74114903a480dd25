"""The build of a commit: found again when the same thing was built before, made otherwise."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from gitdeploy.build import workspace
from gitdeploy.build.detect import detect, with_procfile
from gitdeploy.build.log import BuildLog
from gitdeploy.domain.build import Build
from gitdeploy.domain.builder import name_in
from gitdeploy.domain.config import Config
from gitdeploy.domain.digest import Digest
from gitdeploy.domain.manifest import Manifest
from gitdeploy.domain.names import PRODUCTION, build_label, host
from gitdeploy.domain.recipe import APP, Recipe, build_key
from gitdeploy.domain.settings import Settings
from gitdeploy.domain.site import Site
from gitdeploy.errors import Failed, GitdeployError
from gitdeploy.git import export
from gitdeploy.git.repository import CommitInfo
from gitdeploy.service import builder as builders
from gitdeploy.service import config, policy, publishing, retention, serving, trace
from gitdeploy.service.build import log_file
from gitdeploy.service.context import Context
from gitdeploy.service.queue import Job, Leash, Stopped
from gitdeploy.service.teller import Teller
from gitdeploy.store import clock, ids
from gitdeploy.store.publish import Published


@dataclass(frozen=True)
class Wanted:
    """A commit that is to be built for `ref`. `afresh` builds even what was built before."""

    site: Site
    commit: CommitInfo
    ref: str
    actor: str
    teller: Teller
    gone: Callable[[], bool] = field(default=lambda: False)
    afresh: bool = False


@dataclass(frozen=True)
class Made:
    """A finished build. `reused`: nothing had to be built. `fresh`: the blobs that building it wrote."""

    build: Build
    reused: bool
    fresh: frozenset[Digest] = frozenset()


@dataclass(frozen=True)
class Work:
    """What a build will do, known before it starts. `tree` stands for the files that matter, `kind` for who builds."""

    settings: Settings
    recipe: Recipe
    given: Config
    tree: str
    kind: str

    @property
    def key(self) -> str:
        return self.key_by(self.kind)

    def key_by(self, kind: str) -> str:
        """`kind` is a builder's id."""
        variables = {name: one.value for name, one in self.given.items()}
        return build_key(self.tree, self.recipe, kind, variables)


def ensure(ctx: Context, wanted: Wanted) -> Made:
    """The build of a commit: the one there is, the one under way, or a new one.

    Raises Invalid when the commit says nothing that can be built, Failed with the reason when a build fails,
    Stopped when it was cancelled or superseded.
    """
    work = _plan(ctx, wanted)
    if not wanted.afresh and (found := _find(ctx, wanted, work)) is not None:
        return found
    job, is_new = ctx.queue.join_or_begin(
        "" if wanted.afresh else work.key, wanted.site.name, lambda: _begin(ctx, wanted, work)
    )
    if not is_new:
        wanted.teller.detail(f"already being built as {job.id}, following it")
        for chunk in job.log.follow():
            wanted.teller.raw(chunk)
        job.done.wait()
        finished = ctx.ledger.builds.get(job.id)
        if job.stop and job.own_reason and job.ref != wanted.ref:
            return ensure(ctx, wanted)  # what ended it says nothing about this branch
        if finished is None or finished.state != "built":
            raise Failed(
                finished.error if finished and finished.error else f"The build {job.id} did not finish."
            )
        return _find(ctx, wanted, work) or Made(finished, reused=True)
    try:
        return _run(ctx, wanted, work, job)
    finally:
        ctx.queue.leave(job)


def key_of(ctx: Context, site: Site, commit: str) -> str:
    """What a build of this commit would be found by; "" when the commit cannot be built any more."""
    try:
        info = ctx.repository(site.name).commit(commit)
        return _plan(ctx, Wanted(site, info, "", "", Teller())).key
    except GitdeployError:
        return ""


def show_missing_permalinks(ctx: Context, site: Site) -> None:
    """Of the builds that keep one: the server was killed, or the disk full, between a build and its address."""
    for row in retention.newest_builds(ctx, site):
        address = ctx.home.live / host(site.name, ctx.server.domain, label=build_label(row.id))
        if row.reused_from is None and not address.is_symlink() and serving.stored(ctx, row):
            _show_permalink(ctx, row, frozenset())


def _plan(ctx: Context, wanted: Wanted) -> Work:
    repository = ctx.repository(wanted.site.name)
    settings = policy.of_commit(repository, wanted.commit.id)
    with repository.tree(wanted.commit.tree) as tree:
        settings = with_procfile(tree, settings)
        recipe = detect(tree, settings)
    identity = publishing.watched(repository, wanted.commit.tree, settings) or wanted.commit.tree
    given = config.for_builds(ctx, wanted.site.name)
    return Work(settings, recipe, given, identity, builders.kind(ctx, recipe))


def _find(ctx: Context, wanted: Wanted, work: Work) -> Made | None:
    """The newest finished build with this key whose files are all stored. Another commit with the same key gets a
    row of its own that says whose artifact it took; the same commit needs none.
    """
    built = ctx.ledger.builds.where(
        site=wanted.site.name, key=work.key, state="built", order="id DESC", limit=20
    )
    stored = [one for one in built if serving.stored(ctx, one)]
    for one in stored:
        if one.commit == wanted.commit.id:
            return Made(one, reused=True)
    if not stored:
        return None
    source = stored[0]
    row = replace(
        _row(wanted, work), state="built", reused_from=source.reused_from or source.id, artifact=source.artifact,
        started_at=clock.now(), finished_at=clock.now(), seconds=0.0,
    )  # fmt: skip
    return Made(ctx.ledger.builds.add(row), reused=True)


def _begin(ctx: Context, wanted: Wanted, work: Work) -> Job:
    with ctx.ledger.atomic():
        row = ctx.ledger.builds.add(_row(wanted, work))
        ctx.event(
            "build.queued", actor=wanted.actor, site=row.site, subject=row.id, data={"commit": row.commit}
        )
    path = log_file(ctx, row.id)
    path.parent.mkdir(parents=True, exist_ok=True)
    return Job(row.id, row.site, row.ref, work.key, BuildLog(path))


def _run(ctx: Context, wanted: Wanted, work: Work, job: Job) -> Made:
    row = ctx.ledger.builds.get(job.id)
    assert row is not None
    ctx.queue.supersede(job.site, job.ref, but=job.id)

    def log(data: bytes) -> None:
        job.log.write(data)
        wanted.teller.raw(data)

    started = time.monotonic()
    try:
        with ctx.queue.place(
            job, waits=lambda ahead: wanted.teller.detail(f"waiting: {ahead} builds ahead"), gone=wanted.gone
        ):
            row = ctx.ledger.builds.change(row, state="building", started_at=clock.now())
            teller = Teller(log)
            teller.step(f"build {row.id}: {work.recipe.reason}")
            files, kind, by = _make(ctx, wanted, work, job, log)
            with files as published:
                if kind != work.kind:
                    row = ctx.ledger.builds.change(row, key=work.key_by(kind))
                publishing.attest(ctx, row, work.recipe, work.settings, published.manifest, by)
                seconds = time.monotonic() - started
                row = _built(ctx, row, published.manifest.root, seconds, by)
            teller.detail(f"built in {seconds:.1f} s: {published.manifest.files} files")
    except BaseException as error:
        _over(ctx, row, error, time.monotonic() - started)
        raise
    _show_permalink(ctx, row, published.fresh)
    return Made(row, reused=False, fresh=published.fresh)


def _make(
    ctx: Context, wanted: Wanted, work: Work, job: Job, log: Callable[[bytes], None]
) -> tuple[Published, str, str]:
    """The files, and who built: as a key names it, and as the provenance does."""
    repository, recipe = ctx.repository(job.site), work.recipe
    if not recipe.commands:
        tree = wanted.commit.tree
        files = publishing.straight_from_git(ctx, job.site, repository, tree, recipe, wanted.afresh)
        return files, work.kind, work.kind
    work_folder = ctx.home.work / job.id
    try:
        source = work_folder / "source"
        source.mkdir(parents=True)
        export.checkout(repository, wanted.commit.tree, source)
        leash = Leash(ctx.queue, job, wanted.gone)
        plain = {name: one.value for name, one in work.given.items() if not one.secret}
        secret = {name: one.value for name, one in work.given.items() if one.secret}
        output = builders.build(ctx, wanted.site, recipe, source, log, leash, plain, secret)
        if job.stop:
            raise Stopped(job.stop, f"The build was {job.stop}: {job.why}.")
        like = None if wanted.afresh else _like(ctx, job.site)
        files = publishing.from_folder(ctx, output.folder, output.inside, recipe, like)
        return files, output.kind, output.by
    except GitdeployError:
        if job.stop:
            raise Stopped(job.stop, f"The build was {job.stop}: {job.why}.") from None
        raise
    finally:
        workspace.remove(work_folder)


def _built(ctx: Context, row: Build, artifact: Digest, seconds: float, by: str) -> Build:
    with ctx.ledger.atomic():
        ctx.event(
            "build.built", actor=row.actor, site=row.site, subject=row.id,
            data={"commit": row.commit, "artifact": artifact},
        )  # fmt: skip
        return ctx.ledger.builds.change(
            row,
            state="built",
            artifact=artifact,
            finished_at=clock.now(),
            seconds=seconds,
            builder=name_in(by),
        )


def _over(ctx: Context, row: Build, error: BaseException, seconds: float) -> None:
    state = error.state if isinstance(error, Stopped) else "failed"
    said = (
        error.message
        if isinstance(error, GitdeployError)
        else f"gitdeploy met an error of its own: {error!r}"
    )
    with contextlib.suppress(Failed), ctx.ledger.atomic():  # a full disk: what stays open is ended later
        ctx.ledger.builds.change(row, state=state, error=said, finished_at=clock.now(), seconds=seconds)
        ctx.event(f"build.{state}", actor=row.actor, site=row.site, subject=row.id, data={"error": said})


def _show_permalink(ctx: Context, row: Build, fresh: frozenset[Digest]) -> None:
    """An app has none: its files are not for visitors."""
    if json.loads(row.recipe)["kind"] == APP:
        return
    live = ctx.ledger.releases.one(site=row.site, env=PRODUCTION, state="live")
    serving.show(ctx, row, live, fresh, label=build_label(row.id))


def _like(ctx: Context, site: str) -> Manifest | None:
    """An artifact that the next one probably resembles: what both have is not written twice."""
    for last in ctx.ledger.builds.where(site=site, state="built", order="id DESC", limit=3):
        if serving.stored(ctx, last):
            return ctx.store.load(Digest.parse(last.artifact or ""))
    return None


def _row(wanted: Wanted, work: Work) -> Build:
    recipe = {"kind": work.recipe.kind, "commands": work.recipe.commands, "output": work.recipe.output,
              "root": work.recipe.root, "reason": work.recipe.reason}  # fmt: skip
    return Build(
        id=ids.new("bld"), site=wanted.site.name, commit=wanted.commit.id, tree=wanted.commit.tree, ref=wanted.ref,
        state="queued", actor=wanted.actor, created_at=clock.now(), key=work.key, recipe=json.dumps(recipe),
        subject=wanted.commit.subject, push=trace.current() or None,
    )  # fmt: skip
