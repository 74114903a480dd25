"""Where backups lie: a folder or a bucket.

    format                    {"format": 1, "salt": …}: the salt of the password, empty where nothing is sealed
    objects/ab/<name>         the bytes of a file, once; the name is their SHA-256
    backups/<id>.json         what one backup holds (domain/backup.py); written last, so what has a list is whole

With a password each object and list is sealed (store/sealing.py) with a key made of it by scrypt, and an object's name
is the HMAC of the hash: who has no password learns sizes, and which backups share what.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from gitdeploy.domain.backup import Contents
from gitdeploy.domain.digest import Digest
from gitdeploy.errors import Failed, Invalid, NotFound, NotProven, Refused
from gitdeploy.store.elsewhere import Elsewhere, pieces
from gitdeploy.store.sealing import seal, unseal

_FORMAT = 1
_WRONG = "Give the password that it was made with."


class BackupPlace:
    def __init__(self, place: Elsewhere, password: str, *, new: bool = False) -> None:
        """With `new` a place that holds nothing becomes one for backups. Raises NotFound where there are none, Refused
        for the wrong password, Invalid where it is one of another format.
        """
        self.name = place.name
        self._place = place
        self._key = b""
        salt = self._salt(password, new=new)
        if bool(salt) != bool(password):
            is_sealed = "are sealed with a password" if salt else "are not sealed"
            raise Refused(f"The backups in {place.name} {is_sealed}.", _WRONG if salt else "Give none.")
        if salt:
            self._key = hashlib.scrypt(
                password.encode(), salt=bytes.fromhex(salt), n=1 << 15, r=8, p=1, maxmem=1 << 27, dklen=64
            )
            self._check_key(new=new)

    def stored(self) -> set[str]:
        """The names of the objects that are there."""
        return {key.rpartition("/")[2] for key in self._place.keys("objects")}

    def object(self, digest: Digest) -> str:
        """The name of the object with these bytes."""
        return hmac.new(self._key, digest.encode(), "sha256").hexdigest() if self._key else digest

    def put(self, digest: Digest, source: Path, work: Path) -> None:
        """Store the bytes of a file; `work` is a folder for what is sealed on its way."""
        key = _key(self.object(digest))
        if not self._key:
            self._place.put(key, source)
            return
        with tempfile.NamedTemporaryFile(dir=work) as file:
            for piece in seal(self._key, pieces(source)):
                file.write(piece)
            file.flush()
            self._place.put(key, Path(file.name))

    def get(self, digest: Digest) -> Iterator[bytes]:
        """The bytes, which are not compared with the digest here: see `whole`. Raises NotProven, NotFound."""
        found = self._place.get(_key(self.object(digest)))
        return unseal(self._key, found, _WRONG) if self._key else found

    def whole(self, digest: Digest) -> Iterator[bytes]:
        """The same; raises NotProven at the end of other bytes."""
        total = hashlib.sha256()
        try:
            for piece in self.get(digest):
                total.update(piece)
                yield piece
        except NotFound as error:
            raise NotProven(f"{digest[:12]} is missing in {self.name}.", "Take another backup.") from error
        if total.hexdigest() != digest:
            raise NotProven(f"{digest[:12]} is damaged in {self.name}.", "Take another backup.")

    def ids(self) -> list[str]:
        """Of the backups that are whole, oldest first."""
        names = (key.rpartition("/")[2] for key in self._place.keys("backups"))
        return sorted(name.removesuffix(".json") for name in names if name.endswith(".json"))

    def write(self, contents: Contents) -> None:
        text = contents.text()
        self._place.put_bytes(_list(contents.id), b"".join(seal(self._key, [text])) if self._key else text)

    def read(self, id: str) -> Contents:
        """Raises NotFound, NotProven."""
        found = self._place.get(_list(id))
        return Contents.parse(b"".join(unseal(self._key, found, _WRONG) if self._key else found))

    def let_go(self, keep: int) -> None:
        """Remove all backups but the newest `keep`, then the objects that none of those needs. Killed in between, the
        next time that one goes finishes it.
        """
        if self.forget(keep):
            self.collect()

    def forget(self, keep: int) -> bool:
        """Remove all backups but the newest `keep`, and not their objects; whether there were any."""
        old = self.ids()[:-keep]
        self._place.remove(_list(id) for id in old)
        return bool(old)

    def collect(self) -> None:
        """Remove the objects that no backup needs."""
        named = {self.object(one.digest) for id in self.ids() for one in self.read(id).files}
        self._place.remove(_key(name) for name in self.stored() - named)

    def _salt(self, password: str, *, new: bool) -> str:
        try:
            said = json.loads(b"".join(self._place.get("format")))
        except NotFound:
            if not new:
                raise NotFound(
                    f"There are no backups in {self.name}.", "Name the place that they went to."
                ) from None
            said = {"format": _FORMAT, "salt": os.urandom(16).hex() if password else ""}
            self._place.put_bytes("format", json.dumps(said).encode())
        except ValueError:
            said = {}
        if said.get("format") != _FORMAT:
            raise Invalid(f"{self.name} is no place of backups that this version reads.", "Name another.")
        return str(said["salt"])

    def _check_key(self, *, new: bool) -> None:
        """What is sealed with the password lies there to be opened with it."""
        try:
            b"".join(unseal(self._key, self._place.get("password"), _WRONG))
        except NotFound:
            if not new:
                raise Failed(
                    f"The backups in {self.name} were never finished.", "Name another place."
                ) from None
            self._place.put_bytes("password", b"".join(seal(self._key, [b"right"])))
        except NotProven:
            raise Refused(f"The password does not open the backups in {self.name}.", _WRONG) from None


def compared(content: Iterable[bytes]) -> None:
    """Read to the end, for what is raised there."""
    for _ in content:
        pass


def _key(name: str) -> str:
    return f"objects/{name[:2]}/{name}"


def _list(id: str) -> str:
    return f"backups/{id}.json"
