"""What a builder does when a server logs in: one build, in folders of its own, and nothing else.

builder/places/<id>/source  the tree while it is built
builder/cache/<site id>/    what builds of a site keep between runs; may be deleted at any time, and is when no build
                            used it for a month
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gitdeploy
from gitdeploy.build import builder, parcel, sandbox, wire, workspace
from gitdeploy.build.builder import MOST_DISK, Canceled
from gitdeploy.build.wire import Gone, Wire
from gitdeploy.domain.recipe import Recipe
from gitdeploy.errors import Busy, GitdeployError, Invalid
from gitdeploy.store import durable
from gitdeploy.store.home import Home

_SITE = re.compile(r"[A-Za-z0-9_]{1,64}")
_UNUSED = 30 * 86400
"""Seconds after which a cache that no build used goes."""


class _Unfit(GitdeployError):
    """Nothing was run: it is no fault of the build, which may be made elsewhere."""


@dataclass(frozen=True)
class _Job:
    site: str
    builder: str
    recipe: Recipe
    variables: dict[str, str]
    secrets: dict[str, str]

    @classmethod
    def parse(cls, payload: bytes) -> _Job:
        try:
            said = json.loads(payload)
            recipe: dict[str, Any] = {
                name: tuple(value) if isinstance(value, list) else value
                for name, value in said.pop("recipe").items()
            }
            recipe["commands"] = tuple(tuple(command) for command in recipe["commands"])
            job = cls(**said, recipe=Recipe(**recipe))
            if _SITE.fullmatch(job.site):
                return job
        except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
            pass
        raise Invalid("The job is not understood.", "Install the same version of gitdeploy on both machines.")


def serve(home: Home, reading: int, writing: int) -> None:
    """Do what is asked on the pipe `reading`, and answer on `writing`. When the server hangs up, all of it ends."""
    line = Wire(reading, writing)
    with contextlib.suppress(Gone), line.beating():
        line.greeted()
        kind, payload = line.receive()
        if kind == wire.ASK:
            level = sandbox.isolation()
            about = {
                "version": gitdeploy.__version__,
                "builder": builder.builder_id(),
                "why_not": level.why_not,
            }
            line.send_json(wire.ANSWER, about)
        elif kind == wire.JOB:
            _work(home, line, payload)


def _work(home: Home, line: Wire, payload: bytes) -> None:
    try:
        job = _Job.parse(payload)
        if builder.builder_id() != job.builder:
            why = sandbox.isolation().why_not or f"it builds as {builder.builder_id()}, not as {job.builder}"
            raise _Unfit(f"It cannot build: {why}.", "See: gitdeploy doctor")
        with _place(home) as place:
            _build(home, line, job, place)
    except _Unfit as error:
        line.send_json(wire.REFUSED, {**error.as_json(), "code": "unfit"})
        line.drain()  # the rest of the tree; what is not taken would keep the server from hearing why
    except Canceled as error:
        line.send_json(wire.REFUSED, {**error.as_json(), "code": "canceled"})
    except GitdeployError as error:
        line.send_json(wire.REFUSED, error.as_json())


def _build(home: Home, line: Wire, job: _Job, place: Path) -> None:
    source = place / "source"
    if workspace.full(place):
        raise _Unfit("Its disk is nearly full.", "Free space there.")
    try:
        parcel.receive(line, None, source, MOST_DISK)
        cache = _cache(home, job.site)
    except (GitdeployError, OSError) as error:
        raise _Unfit(f"It cannot take the tree: {error}", "See what its disk has.") from error
    over, gone = threading.Event(), threading.Event()
    watch = threading.Thread(target=_watch, args=(line, over, gone), daemon=True)
    watch.start()

    def log(data: bytes) -> None:
        with contextlib.suppress(Gone):  # whoever hung up: `gone` ends the build
            line.send(wire.LOG, data)

    try:
        folder = builder.build(
            job.recipe, source, cache, log, gone, job.variables, job.secrets, home=home.root
        )
        wire.send_files(line, parcel.output(folder, source))
    finally:
        over.set()


def _watch(line: Wire, over: threading.Event, gone: threading.Event) -> None:
    """While a build runs nothing is sent but beats; when even they end, so does the build."""
    while not over.is_set():
        try:
            line.receive()
        except Gone:
            gone.set()
            return


def _cache(home: Home, site: str) -> Path:
    """That of a site, which is used now."""
    caches = home.builder / "cache"
    cache = caches / site
    cache.mkdir(parents=True, exist_ok=True)
    os.utime(cache)
    for one in caches.iterdir():
        with contextlib.suppress(OSError):
            if time.time() - one.stat().st_mtime > _UNUSED:
                # First out of the way of a build that begins now.
                one.rename(caches / f".{secrets.token_hex(8)}")
    for one in caches.glob(".*"):
        workspace.remove(one)
    return cache


@contextlib.contextmanager
def _place(home: Home) -> Iterator[Path]:
    """A folder for one build, gone afterwards; those of builders that were killed go first."""
    places = home.builder / "places"
    durable.make_folder(home.root, mode=0o711)
    for folder in (home.builder, places):
        durable.make_folder(folder, mode=0o711)
    for lock in places.glob("*.lock"):
        with contextlib.suppress(Busy, FileNotFoundError), durable.exclusive(lock, busy=""):
            workspace.remove(lock.with_suffix(""))
            workspace.remove(lock.with_suffix(".tmp"))
            lock.unlink()
    place = places / secrets.token_hex(8)
    lock, new = place.with_suffix(".lock"), place.with_suffix(".new")
    with durable.exclusive(new, busy="Another build has this folder."):
        new.rename(lock)  # so that one that begins meanwhile finds no lock that is not held
        place.mkdir(mode=0o711)
        try:
            yield place
        finally:
            workspace.remove(place)
            lock.unlink(missing_ok=True)
