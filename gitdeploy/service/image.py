"""The image of a build: what an engine on other machines runs. Asked for in the registry and never believed to be
there; pushed when it is not; proven by what it carries before anything is pointed at it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Set

from gitdeploy.domain.build import Build
from gitdeploy.domain.image import Image
from gitdeploy.domain.oci import Reference
from gitdeploy.domain.site import Site
from gitdeploy.errors import GitdeployError, Invalid
from gitdeploy.runtime.swarm import provenance
from gitdeploy.runtime.swarm.registry import Registry
from gitdeploy.service import image_push, serving
from gitdeploy.service.context import Context
from gitdeploy.service.image_push import Push
from gitdeploy.service.serving import Proven
from gitdeploy.service.teller import Teller

log = logging.getLogger("gitdeploy.image")


def ensure(ctx: Context, site: Site, build: Build, proven: Proven, teller: Teller) -> Image:
    """The image of a build that is proven, in the registry and proven itself.

    Raises Invalid when server.toml names no registry or base, Failed when a registry does not answer, NotProven when
    what it holds is not what was pushed.
    """
    source = serving.origin(ctx, build)
    kind = "app" if proven.is_app else "files"
    base = base_of(ctx, proven)
    with open_registry(ctx) as registry, ctx.image_locks[site.id]:
        image = ctx.ledger.images.get(site.name, source.id, base)
        if (
            image is not None
            and image.name == image_push.name(ctx, site)
            and provenance.is_there(registry, image)
        ):
            teller.detail(f"image {image.digest[7:19]} is in the registry")
        else:
            image = Push(ctx, site, source, proven, kind, base, registry, teller).run()
        provenance.verify(registry, ctx.store.keys, image, site.id)
    return image


def verify(ctx: Context, image: Image) -> None:
    """Read back from the registry what the image is and what is signed about it. Raises NotProven, in one sentence."""
    with open_registry(ctx) as registry:
        provenance.verify(registry, ctx.store.keys, image, ctx.site(image.site).id)


def open_registry(ctx: Context) -> Registry:
    """To be closed. Raises Invalid when server.toml names none."""
    said = ctx.server.swarm
    if not said.registry:
        raise Invalid(
            "No registry is named for the images of releases.", "Say registry in [swarm] of server.toml."
        )
    host = said.registry.partition("/")[0]
    return Registry(host, user=said.user, password=said.password, insecure=said.insecure)


def base_of(ctx: Context, proven: Proven) -> str:
    """The image that a build's files are put on, as it is named. Raises Invalid when none is."""
    own = str(proven.settings.get("runtime", {}).get("base", ""))
    name = "base" if proven.is_app else "files"
    base = own or str(getattr(ctx.server.swarm, name))
    if not base:
        raise Invalid(
            f"No image is named that the files of {'an app' if proven.is_app else 'a site'} are put on.",
            f"Say {name} in [swarm] of server.toml, or base in [runtime] of gitdeploy.toml.",
        )
    return base


def needed(ctx: Context, artifacts: Set[str]) -> set[str]:
    """The artifacts whose trees the images of `artifacts` are made of, so that a lost layer can be packed again."""
    found: set[str] = set()
    for one in ctx.ledger.images.where():
        if one.artifact in artifacts:
            found.update(str(layer.artifact) for layer in one.layers)
    return found


def collect(ctx: Context, wanted: Callable[[], Set[str]], teller: Teller) -> int:
    """Delete from the registry the images of artifacts that are not `wanted`, with what they carry; how many. Those
    that the registry does not let go of now are tried again the next time.
    """
    removed = 0
    keep = wanted()
    for one in ctx.ledger.images.where():
        site = ctx.ledger.sites.get(one.site)
        if site is None or one.artifact in keep:
            continue
        try:
            with ctx.image_locks[site.id]:
                if one.artifact not in wanted():  # it may have been asked for meanwhile
                    _delete(ctx, one)
                    removed += 1
        except GitdeployError as error:
            teller.problem(f"the image of build {one.build} stays for now: {error.message}", error.hint)
            break
    return removed


def forget(ctx: Context, site: Site) -> None:
    """Delete the images of a site that is removed, as far as the registry lets us."""
    try:
        for one in ctx.ledger.images.where(site=site.name):
            with ctx.image_locks[site.id]:
                _delete(ctx, one)
    except GitdeployError as error:
        log.warning("images of %s stay in the registry: %s", site.name, error.message)


def _delete(ctx: Context, image: Image) -> None:
    with open_registry(ctx) as registry:
        same = ctx.ledger.images.where(site=image.site, reference=image.reference)
        if len(same) == 1 and Reference.parse(image.reference).host == registry.host:
            provenance.remove(registry, image)
        ctx.ledger.images.remove(image)
