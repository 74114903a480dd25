"""Is the swarm as it should be, and the registry that its nodes fetch images from? Silent where none is used."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from gitdeploy.errors import GitdeployError
from gitdeploy.service import image, swarm
from gitdeploy.service.context import Context
from gitdeploy.service.finding import Finding

if TYPE_CHECKING:
    from gitdeploy.runtime.swarm.look import Sight

_AHEAD = 5.0
"""Seconds that a clock may differ; signatures and certificates are about times."""


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
