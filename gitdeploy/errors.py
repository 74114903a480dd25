"""Every failure that a user may see, and the one table that maps it to an exit code and an HTTP status.

GitdeployError
    Failed      1  500  the work was tried and did not succeed (a build, a health check)
    Invalid     2  422  what was asked for cannot be understood
    NotFound    3  404  no such site, release, build …
    Busy        4  409  somebody else holds it, or it is locked
    Refused     5  403  policy or role says no
    NotProven   6  409  a signature, digest or provenance does not hold

`message` is one sentence that says what is wrong; `hint` is the next step ("" when there is none); `again` after how
many seconds the same may go well, 0 when trying again is no use.
Anything that is not a GitdeployError is a bug in gitdeploy and may show its traceback.
"""

from __future__ import annotations

from typing import ClassVar


class GitdeployError(Exception):
    code: ClassVar[str] = "failed"
    exit_code: ClassVar[int] = 1
    http_status: ClassVar[int] = 500

    def __init__(self, message: str, hint: str = "", *, again: int = 0) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.again = again

    def as_json(self) -> dict[str, str]:
        """The one error shape of every door: `{code, message, hint}`."""
        return {"code": self.code, "message": self.message, "hint": self.hint}


class Failed(GitdeployError):
    pass


class Invalid(GitdeployError):
    code = "invalid"
    exit_code = 2
    http_status = 422


class NotFound(GitdeployError):
    code = "not_found"
    exit_code = 3
    http_status = 404


class Busy(GitdeployError):
    code = "busy"
    exit_code = 4
    http_status = 409


class Refused(GitdeployError):
    code = "refused"
    exit_code = 5
    http_status = 403


class NotProven(GitdeployError):
    code = "not_proven"
    exit_code = 6
    http_status = 409


BY_CODE: dict[str, type[GitdeployError]] = {
    kind.code: kind for kind in (Failed, Invalid, NotFound, Busy, Refused, NotProven)
}
