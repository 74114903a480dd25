from __future__ import annotations

from pydantic import BaseModel

from gitdeploy.service import builder as service
from gitdeploy.web import views
from gitdeploy.web.api.asking import Ctx, Who
from gitdeploy.web.api.route import noun
from gitdeploy.web.shapes import server as shapes
from gitdeploy.web.shapes.sites import Removed

router = noun("builders")


class NewBuilder(BaseModel):
    name: str
    address: str
    places: int = 2


@router.get("/builders")
def listing(ctx: Ctx, who: Who) -> list[shapes.Builder]:
    """The machines that build for this server."""
    return [views.builder(ctx, one) for one in service.listing(ctx, who)]


@router.post("/builders", status_code=201)
def add(ctx: Ctx, who: Who, body: NewBuilder) -> shapes.Builder:
    """Have a machine build, once it has shown that it can; what is missing there is said otherwise."""
    return views.builder(ctx, service.add(ctx, who, body.name, body.address, body.places))


@router.delete("/builders/{name}")
def remove(ctx: Ctx, who: Who, name: str) -> Removed:
    """Give a builder no more work."""
    return {"removed": service.remove(ctx, who, name).name}
