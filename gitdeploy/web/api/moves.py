from __future__ import annotations

from fastapi import Request
from pydantic import BaseModel, Field

from gitdeploy.domain.length import REASON_MAX
from gitdeploy.domain.move import Chosen
from gitdeploy.domain.role import Actor
from gitdeploy.domain.site import Site
from gitdeploy.service import history
from gitdeploy.service import move as moves
from gitdeploy.service.context import Context
from gitdeploy.service.rehearsal import Rehearsed
from gitdeploy.service.release import Ask
from gitdeploy.service.teller import Teller
from gitdeploy.web import views
from gitdeploy.web.api.asking import Ctx, Reason, ThisSite, Who, up_to
from gitdeploy.web.api.paging import Paged
from gitdeploy.web.api.route import noun
from gitdeploy.web.shapes import data as shapes
from gitdeploy.web.stream import Told, Verb, told

router = noun("moves")
Done = shapes.Move | shapes.Compared | shapes.Rehearsal


class Clone(BaseModel):
    source: str = Field(alias="from")
    target: str = Field(alias="to")
    database: bool = False
    files: bool = False
    only: list[str] = []
    overwrite: bool = False
    confirm: bool = False
    reason: Reason = up_to(REASON_MAX)
    dry_run: bool = False
    rehearse: bool = False
    rehearsal: str = ""


@router.get("/sites/{site}/moves")
def listing(ctx: Ctx, site: ThisSite, page: Paged, env: str = "", before: str = "~") -> list[shapes.Move]:
    """Moves of content into any environment, or into one, newest first; `before` is the id of the last one already
    seen.
    """
    target = history.environment_of(ctx, site, env) if env else None
    found = moves.listing(ctx, site, target, page.enough, before=before)
    return [views.move(one) for one in page.of(found, lambda one: one.id)]


@router.post("/sites/{site}/clone")
def clone(ctx: Ctx, who: Who, site: ThisSite, request: Request, body: Clone) -> Told[Done]:
    """Content of an environment or a snapshot moves into an environment: `database`, `files` or both; `only` names
    groups, tables (`table:posts`) or paths. With `dry_run` it says what would be added, changed and removed;
    `rehearse` does it on a copy, and `rehearsal` holds it to that. `confirm` is needed for production.
    """
    return told(ctx, request, cloned(ctx, who, site, body))


def cloned(ctx: Context, who: Actor, site: Site, body: Clone) -> Verb[Done]:
    """What moves content for whoever may. Raises Refused, NotFound."""
    source, target = moves.source_of(ctx, site, body.source), history.environment_of(ctx, site, body.target)
    moves.allow(who, site, target, confirmed=body.confirm, dry_run=body.dry_run or body.rehearse)
    chosen = Chosen.of(body.database, body.files, body.only, body.overwrite)

    def run(teller: Teller) -> Done:
        ask = Ask(
            who.name, site, target.name, body.reason, body.dry_run, rehearse=body.rehearse,
            rehearsal=body.rehearsal, teller=teller,
        )  # fmt: skip
        if body.dry_run:
            report = moves.compare(ctx, ask, source, chosen)
            return {"dry_run": True, "from": source.name, "to": target.name, **report.as_json()}
        try:
            return views.move(moves.clone(ctx, ask, source, chosen))
        except Rehearsed as done:
            return views.rehearsed(done, teller)

    return run
