"""The one-time code by which the first admin is made: told to whoever can read the server's own output."""

from __future__ import annotations

import hmac
import secrets

from gitdeploy.errors import Refused
from gitdeploy.service import access
from gitdeploy.service.context import Context


class FirstRun:
    """`code` is "" once there is an admin. It is another at every start."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._code = "-".join(secrets.token_hex(2) for _ in range(4))

    @property
    def code(self) -> str:
        return "" if access.has_admin(self._ctx) else self._code

    def is_right(self, said: str) -> bool:
        """Raises Refused when there is nothing to set up any more."""
        if not self.code:
            raise Refused("This server is set up already.", "Sign in with your token.")
        return hmac.compare_digest(said.strip().lower().encode(), self._code.encode())
