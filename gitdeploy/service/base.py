"""What production held when another environment was made the same: with it a move into production knows who has changed
what since.

    sites/<site>/<env>/bases/<number>/          of each table a digest of every row; files.json
    sites/<site>/<env>/bases/<number>.until/<moment>/     what it was before that moment

It lies with the other environment, under the number of its data folder: after a restore there it is known no more. It
says what production holds, so when production goes back to a snapshot it goes back with it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gitdeploy.data.content_plan import keys_file
from gitdeploy.domain.names import PRODUCTION
from gitdeploy.runtime.slots import Environment as Place
from gitdeploy.service.context import Context
from gitdeploy.store import durable

FILES = "files.json"
_KEPT = 10
"""How many earlier ones of an environment are known."""


@dataclass(frozen=True)
class Base:
    """`held` are production's files by path, `masked` the columns that left it masked."""

    folder: Path
    held: Mapping[str, str] = field(default_factory=dict)
    masked: tuple[str, ...] = ()


def read(folder: Path) -> Base | None:
    try:
        said = json.loads((folder / FILES).read_text("utf-8"))
    except FileNotFoundError:
        return None
    return Base(folder, said["held"], tuple(said["masked"]))


def text(held: Mapping[str, str], masked: Iterable[str]) -> str:
    """Of the file `FILES`."""
    return json.dumps({"held": dict(held), "masked": sorted({*masked})})


def install(new: Path, folder: Path, moment: str) -> None:
    """Have `folder` say what the files in `new` do, which are moved; what it said until this moment (UTC ISO 8601) is
    kept. Safe to repeat.
    """
    _keep(folder, moment)
    durable.make_folder(folder)
    for file in sorted(new.iterdir()):
        file.rename(folder / file.name)
    durable.sync_folder(folder)
    for other in folder.parent.iterdir():
        if other.name not in (folder.name, _before(folder).name):
            durable.remove_tree(other)


def go_back(
    ctx: Context, site: str, then: str, moment: str,
    tables: Iterable[str] | None = None, takes: Callable[[str], bool] = lambda _: False,
) -> None:  # fmt: skip
    """From this `moment` on production holds what it held `then`: all of it, or these tables and the files that `takes`
    names. Safe to repeat.
    """
    for folder in _folders(ctx, site):
        found = next((one for one in sorted(_moments(folder)) if one >= then and one != moment), None)
        _keep(folder, moment)
        if found is not None and tables is None:
            _replace_all(_before(folder) / found, folder)
        elif found is not None and tables is not None:
            _replace_some(_before(folder) / found, folder, tables, takes)


def forget(ctx: Context, site: str, moment: str) -> None:
    """From this moment on nobody knows what production has changed."""
    for folder in _folders(ctx, site):
        _keep(folder, moment)
        durable.remove_tree(folder)


# Private


def _folders(ctx: Context, site: str) -> Iterator[Path]:
    for env in ctx.ledger.environments.where(site=site):
        above = Place(ctx.home, env.site, env.folder).base_folder(1).parent
        if env.name != PRODUCTION and above.is_dir():
            yield from [one for one in above.iterdir() if one.name.isdigit()]


def _keep(folder: Path, moment: str) -> None:
    """What is in there is replaced and never written to, so it can be shared."""
    before = _before(folder) / moment
    if not folder.is_dir() or before.is_dir():
        return
    making = before.with_name(f".{moment}")
    durable.remove_tree(making)
    _replace_all(folder, making)
    making.rename(before)
    for old in sorted(_moments(folder))[:-_KEPT]:
        durable.remove_tree(_before(folder) / old)


def _replace_all(source: Path, folder: Path) -> None:
    durable.make_folder(folder)
    names = {file.name for file in source.iterdir()}
    for name in sorted(names):
        _replace(source / name, folder / name)
    for file in folder.iterdir():
        if file.name not in names:
            file.unlink()
    durable.sync_folder(folder)


def _replace_some(source: Path, folder: Path, tables: Iterable[str], takes: Callable[[str], bool]) -> None:
    for name in map(keys_file, tables):
        if (source / name).exists():
            _replace(source / name, folder / name)
        else:
            (folder / name).unlink(missing_ok=True)
    now, was = read(folder), read(source)
    if now and was:
        held = {path: one for path, one in now.held.items() if not takes(path)}
        held |= {path: one for path, one in was.held.items() if takes(path)}
        durable.write_file(folder / FILES, text(held, (*now.masked, *was.masked)).encode())
    durable.sync_folder(folder)


def _replace(file: Path, by: Path) -> None:
    making = by.with_name(f".{by.name}")
    making.unlink(missing_ok=True)
    os.link(file, making)
    making.rename(by)


def _before(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.until")


def _moments(folder: Path) -> list[str]:
    above = _before(folder)
    return [one.name for one in above.iterdir() if one.name[0] != "."] if above.is_dir() else []
