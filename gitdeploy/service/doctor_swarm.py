"""Is the swarm as it should be, and the registry that its nodes fetch images from? Silent where none is used."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from gitdeploy.errors import GitdeployError
from gitdeploy.service import image, swarm
from gitdeploy.service.context import Context
from gitdeploy.service.finding import Finding

if TYPE_CHECKING:
    from gitdeploy.runtime.swarm.disk import Room
    from gitdeploy.runtime.swarm.look import Sight

_AHEAD = 5.0
"""Seconds that a clock may differ; signatures and certificates are about times."""
_LONGEST = 20.0
"""Seconds that nodes may take to say how full their disks are; one may have to fetch the image that looks."""


def engine(ctx: Context) -> Iterator[Finding]:
    if not ctx.server.swarm.registry:
        return
    from gitdeploy.runtime.swarm.look import OLDEST, look

    seen = look(swarm.engine_of(ctx, patience=3.0))
    yield from _nodes(seen)
    yield from _managers(seen)
    if seen.is_too_old:
        needed = ".".join(map(str, OLDEST))
        said = f"The engine speaks API {'.'.join(map(str, seen.api))}, and {needed} is needed."
        yield Finding("swarm", "problem", said, "Install Docker 20.10 or newer on every node.")
    if abs(seen.ahead) > _AHEAD:
        said = f"The clock of the engine differs by {seen.ahead:.0f} s."
        yield Finding("swarm", "warning", said, "Have every machine set its clock by NTP.")
    if seen.edges < seen.nodes - len(seen.away) and ctx.ledger.releases.one(state="live", sql="image != ''"):
        said = f"The edge runs on {seen.edges} of {seen.nodes} nodes."
        yield Finding("swarm", "problem", said, "See: docker service ps gitdeploy-edge")


def registry(ctx: Context) -> Iterator[Finding]:
    """What runs can be fetched again, by the very digest that the ledger names."""
    if not ctx.server.swarm.registry:
        return
    missing = 0
    for release in ctx.ledger.releases.where(state="live", sql="image != ''"):
        row = ctx.ledger.images.one(site=release.site, reference=release.image)
        try:
            if row is None:
                raise GitdeployError("the ledger knows nothing of it")
            image.verify(ctx, row)
        except GitdeployError as error:
            missing += 1
            yield Finding(
                "registry", "problem", f"The image of {release.name} of {release.site} cannot be had: {error.message}",
                f"Push it again: gitdeploy redeploy {release.site} --env {release.env}",
            )  # fmt: skip
    if not missing:
        yield Finding("registry", "ok", "the registry has the images of all that is live, each proven")


def disks(ctx: Context) -> Iterator[Finding]:
    """Has each node room? That starts a container on all of them, so it is done only when somebody asks."""
    said = ctx.server.swarm
    if not said.registry or not said.files:
        return
    from gitdeploy.runtime.swarm import disk

    found = disk.look(swarm.engine_of(ctx, patience=3.0), said.files, within=_LONGEST)
    for one in found:
        yield from _room(one, ctx.server.min_free)
    known = [(one.share, one.node) for one in found if one.share is not None]
    if known and len(known) == len(found) and min(known)[0] >= 2 * ctx.server.min_free:
        share, node = min(known)
        yield Finding(
            "node disks", "ok", f"{share:.0f} % of the disk of {node}, the fullest of the nodes, is free"
        )


def _room(one: Room, needed: float) -> Iterator[Finding]:
    if one.share is None:
        said = f"{one.node} did not say within {_LONGEST:.0f} s how full its disk is."
        yield Finding(
            "node disks", "warning", said, "See: docker node ls, and whether it can fetch [swarm] files."
        )
    elif one.share < 2 * needed:
        level = "problem" if one.share < needed else "warning"
        said = f"{one.share:.1f} % of the disk of {one.node} is free."
        yield Finding(
            "node disks", level, said, "There: docker system prune --all --force, or a larger disk."
        )


def _nodes(seen: Sight) -> Iterator[Finding]:
    if seen.away:
        said = f"{', '.join(seen.away)} of the swarm's {seen.nodes} nodes runs nothing."
        yield Finding("swarm", "problem", said, "See: docker node ls")
    else:
        yield Finding("swarm", "ok", f"all {seen.nodes} nodes of the swarm are ready")


def _managers(seen: Sight) -> Iterator[Finding]:
    answer, known = seen.managers
    if known < 3 or known % 2 == 0:
        said = f"The swarm has {known} manager{'s' * (known != 1)}, of which {(known - 1) // 2} may be lost."
        yield Finding("swarm", "note", said, "Three managers bear the loss of one: docker node promote NODE")
    if answer < known:
        yield Finding(
            "swarm", "problem", f"{known - answer} of {known} managers do not answer.", "See: docker node ls"
        )
