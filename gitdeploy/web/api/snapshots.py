from __future__ import annotations

from typing import Literal

from fastapi import Request
from pydantic import BaseModel, Field

from gitdeploy.domain.length import REASON_MAX
from gitdeploy.domain.names import PRODUCTION
from gitdeploy.domain.role import Actor, Role
from gitdeploy.domain.site import Site
from gitdeploy.domain.snapshot import LABEL_MAX, Snapshot
from gitdeploy.errors import Invalid
from gitdeploy.service import history
from gitdeploy.service import release as releases
from gitdeploy.service import restore as restores
from gitdeploy.service import snapshot as snapshots
from gitdeploy.service import snapshot_copy as copies
from gitdeploy.service.context import Context
from gitdeploy.service.rehearsal import Rehearsed
from gitdeploy.service.release import Ask
from gitdeploy.service.teller import Teller
from gitdeploy.web import views
from gitdeploy.web.api.asking import Ctx, Reason, ThisSite, Who, up_to
from gitdeploy.web.api.paging import Number, Paged
from gitdeploy.web.api.route import noun
from gitdeploy.web.shapes import data as shapes
from gitdeploy.web.shapes.releases import DryRun, Release
from gitdeploy.web.shapes.sites import Removed
from gitdeploy.web.stream import Told, Verb, told

router = noun("snapshots")
Done = Release | DryRun | shapes.Rehearsal
"""What comes of a restore: it is live, or was only tried."""


class Take(BaseModel):
    env: str = PRODUCTION
    label: str = up_to(LABEL_MAX)
    pinned: bool = False


class Fetch(BaseModel):
    origin: str = Field("", max_length=80)


class Restore(BaseModel):
    target_kind: Literal["", "project", "preview"] = ""
    env: str = ""
    code: bool = False
    confirm: bool = False
    reason: Reason = up_to(REASON_MAX)
    dry_run: bool = False
    rehearse: bool = False
    rehearsal: str = ""


@router.get("/sites/{site}/snapshots")
def listing(
    ctx: Ctx, site: ThisSite, page: Paged, env: str = "", before: Number = 1 << 40
) -> list[shapes.Snapshot]:
    """The snapshots of a site or of one environment, newest first; `before` is the number of the last one already
    seen.
    """
    chosen = history.environment_of(ctx, site, env) if env else None
    found = snapshots.listing(ctx, site, chosen, before=before, limit=page.enough)
    return [views.snapshot(one) for one in page.of(found, lambda one: one.number)]


@router.post("/sites/{site}/snapshots")
def take(ctx: Ctx, who: Who, site: ThisSite, request: Request, body: Take) -> Told[shapes.Snapshot]:
    """Capture databases and files of an environment at one instant, and prove it by restoring it."""
    env = history.environment_of(ctx, site, body.env)
    who.need(Role.DEVELOPER, site.name, f"take snapshots of {env.name}", env.name)

    def run(teller: Teller) -> shapes.Snapshot:
        made = snapshots.take(ctx, who, env, teller, label=body.label, pinned=body.pinned)
        return views.snapshot(made)

    return told(ctx, request, run)


@router.post("/sites/{site}/snapshots/fetch")
def fetch(ctx: Ctx, who: Who, site: ThisSite, request: Request, body: Fetch) -> Told[list[shapes.Snapshot]]:
    """Bring back the copies of a site's snapshots that are not here."""
    who.need(Role.OPERATOR, site.name, "fetch snapshots")

    def run(teller: Teller) -> list[shapes.Snapshot]:
        return [views.snapshot(one) for one in copies.fetch(ctx, who, site, teller, origin=body.origin)]

    return told(ctx, request, run)


@router.get("/sites/{site}/snapshots/{snapshot}")
def show(ctx: Ctx, site: ThisSite, snapshot: str) -> shapes.Snapshot:
    """One snapshot, by `s12`, id, label or `latest`: what its databases held, and the proof."""
    return views.snapshot(snapshots.find(ctx, site, snapshot))


@router.post("/sites/{site}/snapshots/{snapshot}/verify")
def verify(ctx: Ctx, who: Who, site: ThisSite, request: Request, snapshot: str) -> Told[shapes.Snapshot]:
    """Restore a snapshot into a throwaway once more, and compare."""
    who.need(Role.DEVELOPER, site.name, "verify snapshots")
    found = snapshots.find(ctx, site, snapshot)
    return told(ctx, request, lambda teller: views.snapshot(snapshots.prove(ctx, found, teller)))


@router.post("/sites/{site}/snapshots/{snapshot}/pin")
def pin(ctx: Ctx, who: Who, site: ThisSite, snapshot: str, pinned: bool = True) -> shapes.Snapshot:
    """A pinned snapshot is kept whatever retention says."""
    return views.snapshot(snapshots.pin(ctx, who, site, snapshots.find(ctx, site, snapshot), pinned))


@router.post("/sites/{site}/snapshots/{snapshot}/restore")
@router.post("/projects/{site}/snapshots/{snapshot}/restore")
def restore(ctx: Ctx, who: Who, site: ThisSite, request: Request, snapshot: str, body: Restore) -> Told[Done]:
    """Databases and files of a snapshot become those of an environment, by default the one it was taken of; `code`
    brings back the release of that time too. `confirm` is needed for production and named environments. `target_kind`
    `project` means production, `preview` refuses to touch anything else.
    """
    return told(ctx, request, restored(ctx, who, site, snapshots.find(ctx, site, snapshot), body))


def restored(ctx: Context, who: Actor, site: Site, taken: Snapshot, body: Restore) -> Verb[Done]:
    """What carries out a restore for whoever may. Raises Refused."""
    env = history.environment_of(
        ctx, site, body.env or (PRODUCTION if body.target_kind == "project" else taken.env)
    )
    if body.target_kind and (body.target_kind == "preview") != (env.kind == "preview"):
        raise Invalid(
            f"{env.name} is no {body.target_kind}.", "Say which with env, or leave target_kind away."
        )
    restores.allow(ctx, who, site, env, taken, confirmed=body.confirm, rehearsed=body.rehearse)

    def run(teller: Teller) -> Done:
        ask = Ask(
            who.name, site, env.name, body.reason, body.dry_run, rehearse=body.rehearse,
            rehearsal=body.rehearsal, teller=teller,
        )  # fmt: skip
        try:
            return views.release(restores.restore(ctx, ask, taken, code=body.code))
        except releases.DryRun as done:
            return {"dry_run": True, "message": done.message}
        except Rehearsed as done:
            return views.rehearsed(done, teller)

    return run


@router.delete("/sites/{site}/snapshots/{snapshot}")
def remove(ctx: Ctx, who: Who, site: ThisSite, snapshot: str) -> Removed:
    """Forget a snapshot; its bytes go with the next collection."""
    found = snapshots.find(ctx, site, snapshot)
    snapshots.remove(ctx, who, site, found)
    return {"removed": found.name}
