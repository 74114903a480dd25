"""The gate before an environment: read from three files beside `current`, anew for every request.

    sites/<site>/<env>/allow.json         403 to all whose address it does not name
    sites/<site>/<env>/maintenance.json   503 with a message, to all but those it admits
    sites/<site>/<env>/password           asked for with Basic authentication; any user name will do

A file that cannot be read never opens the gate.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import json
import os
import secrets
from dataclasses import dataclass
from functools import lru_cache

from gitdeploy.domain.gate import Allowed, Maintenance, Password
from gitdeploy.errors import Invalid

ALLOW = "allow.json"
MAINTENANCE = "maintenance.json"
PASSWORD = "password"

_KEPT = 1024
"""So many credentials that fitted are remembered, as keyed hashes: scrypt takes its time on purpose."""


@dataclass(frozen=True)
class Gate:
    allowed: Allowed | None = None
    maintenance: Maintenance | None = None
    password: Password | None = None


_OPEN = Gate()
_key = secrets.token_bytes(32)
_fitted: dict[bytes, None] = {}
_turn = asyncio.Lock()  # a flood of guesses gets one processor and 16 MiB, whatever its size


def read(environment: str) -> Gate:
    """`environment` is its folder, relative to the home. Raises Invalid for a password nobody can read."""
    maintenance, password = f"{environment}/{MAINTENANCE}", f"{environment}/{PASSWORD}"
    allow = f"{environment}/{ALLOW}"
    listed, closed, guarded = _version(allow), _version(maintenance), _version(password)
    if listed is None and closed is None and guarded is None:
        return _OPEN
    return Gate(
        _allowed(allow, listed) if listed else None,
        _maintenance(maintenance, closed) if closed else None,
        _password(password, guarded) if guarded else None,
    )


async def opens(password: Password, authorization: str | None) -> bool:
    """Does the `Authorization` header bring the password? Guesses are checked in turn, in a thread."""
    secret = _secret(authorization)
    if secret is None:
        return False
    known = hashlib.blake2b(str(password).encode() + b"\0" + secret, key=_key).digest()
    if known in _fitted:
        return True
    async with _turn:
        if not await asyncio.to_thread(password.fits, secret):
            return False
    while len(_fitted) >= _KEPT:
        del _fitted[next(iter(_fitted))]
    _fitted[known] = None
    return True


def _secret(authorization: str | None) -> bytes | None:
    kind, _, value = (authorization or "").strip().partition(" ")
    if kind.lower() != "basic":
        return None
    try:
        _, colon, secret = base64.b64decode(value.strip(), validate=True).partition(b":")
    except (binascii.Error, ValueError):
        return None
    return secret if colon else None


def _version(path: str) -> tuple[int, int] | None:
    try:
        seen = os.stat(path)  # noqa: PTH116 (hot)
    except FileNotFoundError:
        return None
    return seen.st_ino, seen.st_mtime_ns


@lru_cache(maxsize=256)
def _allowed(path: str, version: tuple[int, int]) -> Allowed:
    """Damaged, it names nobody."""
    del version
    try:
        with open(path, "rb") as file:
            return Allowed.from_json(json.load(file))
    except (OSError, ValueError, Invalid):
        return Allowed()


@lru_cache(maxsize=256)
def _maintenance(path: str, version: tuple[int, int]) -> Maintenance:
    """Damaged, it is maintenance without a message: somebody wanted the site closed."""
    del version
    try:
        with open(path, "rb") as file:
            return Maintenance.from_json(json.load(file))
    except (OSError, ValueError, Invalid):
        return Maintenance()


@lru_cache(maxsize=256)
def _password(path: str, version: tuple[int, int]) -> Password:
    del version
    try:
        with open(path, encoding="ascii") as file:
            return Password.parse(file.read())
    except (OSError, ValueError) as error:
        raise Invalid(f"{path} cannot be read.", "Set the password again.") from error
