"""A server's home opened in this process, and builds in it that nobody had to push."""

from __future__ import annotations

import contextlib
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gitdeploy.domain.build import Build
from gitdeploy.domain.image import Image
from gitdeploy.domain.settings import parse
from gitdeploy.domain.site import Site
from gitdeploy.domain.statement import Statement
from gitdeploy.service import image, serving
from gitdeploy.service.context import Context
from gitdeploy.service.teller import Teller
from gitdeploy.store import ids
from gitdeploy.store.publish import NewFile
from gitdeploy.web.serve import opened

TREE = "b" * 40
TIME = "2026-01-01T00:00:00.000Z"
_numbers = itertools.count(1)


def file(path: str | bytes, content: str | bytes = "", *, executable: bool = False) -> NewFile:
    data = content.encode() if isinstance(content, str) else content
    name = path.encode() if isinstance(path, str) else path
    return NewFile(name, "exec" if executable else "file", (data,))


def link(path: str, target: str) -> NewFile:
    return NewFile(path.encode(), "link", target=target.encode())


@dataclass
class Sites:
    """A site `blog` of a home whose server.toml names a registry."""

    ctx: Context
    kind: str = "app"
    said: list[bytes] = field(default_factory=list)

    @property
    def site(self) -> Site:
        return self.ctx.site("blog")

    def build(self, files: Iterable[NewFile] | Mapping[str, str], settings: str = "") -> Build:
        """A finished build of these files, signed."""
        listed = [file(*one) for one in files.items()] if isinstance(files, Mapping) else files
        build_id = ids.new("bld")
        with self.ctx.store.publish_whole(listed, like=None) as published:
            root = published.manifest.root
            self.ctx.store.attest(
                Statement(
                    site=self.site.id, artifact=root, build_id=build_id, builder="gitdeploy/1", commit="a" * 40,
                    tree=TREE, recipe={"kind": self.kind}, settings=parse(settings).as_json(), started_on=TIME,
                    finished_on=TIME,
                )
            )  # fmt: skip
            return self.ctx.ledger.builds.add(
                Build(
                    id=build_id, site="blog", commit="a" * 40, tree=TREE, ref="refs/heads/main", state="built",
                    actor="maya", created_at=TIME, key=f"key{next(_numbers)}", recipe=json.dumps({}),
                    artifact=root, subject="",
                )
            )  # fmt: skip

    def ensure(self, build: Build) -> Image:
        proven = serving.prove(self.ctx, build, None, frozenset())
        return image.ensure(self.ctx, self.site, build, proven, Teller(self.said.append))

    def push(self, files: Iterable[NewFile] | Mapping[str, str], settings: str = "") -> Image:
        return self.ensure(self.build(files, settings))


@contextlib.contextmanager
def sites(home: Path, kind: str = "app", **swarm: Any) -> Iterator[Sites]:
    home.mkdir(parents=True, exist_ok=True)
    said = "\n".join(f"{name} = {json.dumps(value)}" for name, value in swarm.items())
    (home / "server.toml").write_text(f"[swarm]\n{said}\n")
    with opened(home) as ctx:
        if ctx.ledger.sites.get("blog") is None:
            ctx.ledger.sites.add(Site("blog", ids.new("site"), TIME, "maya"))
        yield Sites(ctx, kind)
