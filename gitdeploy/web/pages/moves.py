"""Migration: content of one environment moves into another, once somebody has seen what that would change."""

from __future__ import annotations

from typing import Any, cast

from fastapi import Request
from fastapi.responses import Response
from pydantic import ValidationError

from gitdeploy.domain.names import PRODUCTION
from gitdeploy.domain.role import Role
from gitdeploy.errors import Invalid, Refused
from gitdeploy.service import environment as environments
from gitdeploy.service import history
from gitdeploy.service import move as moves
from gitdeploy.service.teller import Teller
from gitdeploy.web import views
from gitdeploy.web.api.asking import Ctx
from gitdeploy.web.api.moves import Clone, cloned
from gitdeploy.web.pages import page
from gitdeploy.web.pages.asking import Form, Seen, Sent, ThisSite
from gitdeploy.web.route import unlisted
from gitdeploy.web.shapes.data import Compared

router = unlisted()
_SHOWN = 20
_ENVIRONMENTS = 50  # that can be chosen


@router.get("/sites/{site}/migration")
def ask(request: Request, ctx: Ctx, site: ThisSite, before: str = "~") -> Response:
    found = moves.listing(ctx, site, None, _SHOWN + 1, before=before)
    rows = found[:_SHOWN]
    names = [one.name for one in environments.listing(ctx, site)[:_ENVIRONMENTS]]
    return page.of_site(
        request, site, "data", "migration.html", title=f"Migration of {site.name}", environments=names,
        moves=[views.move(one) for one in rows], is_first=before == "~", begins=_from(names),
        older=page.url("sites", site.name, "migration", before=rows[-1].id) if len(found) > _SHOWN else "",
    )  # fmt: skip


@router.post("/sites/{site}/migration/compare")
def compare(request: Request, ctx: Ctx, visit: Seen, site: ThisSite, form: Sent) -> Response:
    """What would be added, changed and removed, group by group; nothing is."""
    body = _clone(form, dry_run=True)
    said: list[str] = []
    compared = cloned(ctx, visit.actor, site, body)
    report = cast(
        Compared, compared(Teller(lambda line: said.append(line.decode("utf-8", "replace").strip())))
    )
    target = history.environment_of(ctx, site, body.target)
    least = {"production": "operator", "named": "maintainer"}.get(target.kind, "developer")
    return page.of_site(
        request, site, "data", "migration_diff.html", title=f"Move content to {target.name}", report=report,
        body=body, target=views.environment(ctx, target), least=least, may=visit.may(least, site.name),
        is_empty=not any((*report["rows"].values(), *report["files"].values())),
    )  # fmt: skip


@router.post("/sites/{site}/migration")
def move(request: Request, ctx: Ctx, visit: Seen, site: ThisSite, form: Sent) -> Response:
    """Into production only for who has typed its name."""
    body = _clone(form, dry_run=False)
    target = history.environment_of(ctx, site, body.target)
    if target.kind == "production":
        visit.actor.need(Role.OPERATOR, site.name, "move content into production", target.name)
        if not body.confirm:
            raise Refused(
                "This changes the content of production.", f"Type {PRODUCTION} to say that you mean it."
            )
    run = cloned(ctx, visit.actor, site, body)
    back = page.url("sites", site.name, "migration")

    def act(teller: Teller) -> dict[str, Any]:
        run(teller)
        says = f"The content of {body.source} is in {target.name}."
        return {"says": says, "go": back, "label": "To the migrations"}

    return page.carried(request, site, "data", f"Move content to {target.name}", act, back)


def _clone(form: Form, *, dry_run: bool) -> Clone:
    try:
        return Clone.model_validate({
            "from": form.get("from"), "to": form.get("to"), "database": form.ticked("database"),
            "files": form.ticked("files"), "only": form.get("only").replace(",", " ").split(),
            "overwrite": form.ticked("overwrite"), "confirm": form.get("confirm") == PRODUCTION,
            "reason": form.get("reason"), "dry_run": dry_run,
        })  # fmt: skip
    except ValidationError as error:
        first = error.errors()[0]
        raise Invalid(f"{first['loc'][0]}: {first['msg']}.", "Go back and mend it.") from None


def _from(names: list[str]) -> str:
    """Where content mostly comes from: staging, or whatever there is beside production."""
    others = [one for one in names if one != PRODUCTION]
    return "staging" if "staging" in others else next(iter(others), PRODUCTION)
