"""A place outside of this machine's store: another folder, such as a mounted disk, or a bucket that speaks S3.

An object has a key (`blobs/ab/…`) and is there whole or not at all.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Protocol

from obstore.exceptions import BaseError, NotFoundError
from obstore.store import S3Store

from gitdeploy.errors import Failed, Invalid, NotFound
from gitdeploy.store import durable

_PIECE = 1 << 20  # bytes


class Elsewhere(Protocol):
    """Every method raises Failed when the place cannot be reached or refuses."""

    name: str

    def put(self, key: str, source: Path) -> None:
        """What has been put is durable."""

    def put_bytes(self, key: str, content: bytes) -> None: ...

    def get(self, key: str) -> Iterator[bytes]:
        """Raises NotFound."""

    def keys(self, above: str) -> Iterator[str]:
        """Those that begin with `above/`."""

    def has(self, key: str) -> bool: ...

    def remove(self, keys: Iterable[str]) -> None:
        """Those that are gone already are fine."""


def elsewhere(place: str, options: Mapping[str, str]) -> Elsewhere:
    """`/mnt/disk/folder` or `s3://bucket/prefix`; `options` are `endpoint`, `region`, `access_key`, `secret_key`, and
    what is not given is taken from the environment (`AWS_…`). Raises Invalid.
    """
    if place.startswith("s3://"):
        return _Bucket(place, options)
    if place.startswith("/"):
        return _Folder(Path(place))
    raise Invalid(f"{place!r} is no place to copy to.", "Say a folder from its root, or s3://bucket/prefix.")


class _Folder:
    def __init__(self, folder: Path) -> None:
        self.name = str(folder)
        self._folder = folder

    def put(self, key: str, source: Path) -> None:
        with _refusals(self.name), self._beside(key) as path:
            shutil.copyfile(source, path)

    def put_bytes(self, key: str, content: bytes) -> None:
        with _refusals(self.name), self._beside(key) as path:
            path.write_bytes(content)

    def get(self, key: str) -> Iterator[bytes]:
        with _refusals(self.name):
            yield from pieces(self._folder / key)

    def keys(self, above: str) -> Iterator[str]:
        self._need()
        with _refusals(self.name):
            for folder, _, names in os.walk(self._folder / above, onerror=_but_gone):
                for name in names:
                    if not name.startswith("."):
                        yield str((Path(folder) / name).relative_to(self._folder))

    def has(self, key: str) -> bool:
        return (self._folder / key).exists()

    def remove(self, keys: Iterable[str]) -> None:
        with _refusals(self.name):
            for key in keys:
                (self._folder / key).unlink(missing_ok=True)

    def _need(self) -> None:
        """A disk that is not mounted is no empty one."""
        if not self._folder.is_dir():
            raise Failed(f"There is no folder {self.name}.", "Mount it, or make it.")

    @contextlib.contextmanager
    def _beside(self, key: str) -> Iterator[Path]:
        """Where to write what will be `key`."""
        self._need()
        path = self._folder / key
        durable.make_folder(path.parent, mode=0o700)
        temp = path.with_name(f".{path.name}.part")
        yield temp
        durable.flush([temp], self._folder)
        temp.rename(path)
        durable.sync_folder(path.parent)


class _Bucket:
    def __init__(self, place: str, options: Mapping[str, str]) -> None:
        self.name = place
        bucket, _, prefix = place.removeprefix("s3://").partition("/")
        said = {name: options[name] for name in ("endpoint", "region") if options.get(name)}
        if options.get("access_key"):
            said |= {"access_key_id": options["access_key"], "secret_access_key": options["secret_key"]}
        endpoint = options.get("endpoint") or os.environ.get("AWS_ENDPOINT_URL", "")
        plain = {"allow_http": True} if endpoint.startswith("http://") else {}
        self._store = S3Store(bucket, prefix=prefix or None, config=said, client_options=plain)  # type: ignore[arg-type]

    def put(self, key: str, source: Path) -> None:
        with _refusals(self.name):
            self._store.put(key, source)

    def put_bytes(self, key: str, content: bytes) -> None:
        with _refusals(self.name):
            self._store.put(key, content)

    def get(self, key: str) -> Iterator[bytes]:
        with _refusals(self.name):
            for piece in self._store.get(key).stream(_PIECE):
                yield bytes(piece)

    def keys(self, above: str) -> Iterator[str]:
        with _refusals(self.name):
            for page in self._store.list(f"{above}/"):
                yield from (one["path"] for one in page)

    def has(self, key: str) -> bool:
        try:
            with _refusals(self.name):
                self._store.head(key)
        except NotFound:
            return False
        return True

    def remove(self, keys: Iterable[str]) -> None:
        for key in keys:
            with contextlib.suppress(NotFound), _refusals(self.name):
                self._store.delete(key)


def _but_gone(error: OSError) -> None:
    """What cannot be listed is not empty."""
    if not isinstance(error, FileNotFoundError):
        raise error


def pieces(path: Path) -> Iterator[bytes]:
    with open(path, "rb") as file:
        while piece := file.read(_PIECE):
            yield piece


@contextlib.contextmanager
def _refusals(place: str) -> Iterator[None]:
    try:
        yield
    except (FileNotFoundError, NotFoundError) as error:
        raise NotFound(f"{place} has no such object.", "") from error
    except OSError as error:
        raise Failed(f"{place} refuses: {error.strerror or error}.", "Nothing here has changed.") from error
    except BaseError as error:
        said = str(error).strip().splitlines()[0][:200]
        raise Failed(f"{place} refuses: {said}.", "See server.toml, which says how it is reached.") from error
