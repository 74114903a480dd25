"""What a person is told when something goes wrong: what nobody thought of, and what a command of theirs did not do."""

from __future__ import annotations

import errno
import logging
from pathlib import Path

from gitdeploy.errors import Failed, GitdeployError
from gitdeploy.store import durable

UNFORESEEN = ("gitdeploy met an error of its own.", "The server's log says more.")
log = logging.getLogger("gitdeploy")
_QUOTED = 20  # lines of a command that failed


def plainly(error: Exception, doing: str) -> GitdeployError:
    """The error to tell for `error`, met while `doing`; a mistake of our own goes to the log with its traceback."""
    if isinstance(error, GitdeployError):
        return error
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return durable.said(error, Path(error.filename or "."))
    log.error("%s", doing, exc_info=error)
    return Failed(*UNFORESEEN)


def of_command(name: str, code: int | None, said: list[str]) -> Failed:
    """What is to be told of the `release` or `down` command that did not end with 0; `code` None: it took too long."""
    how = f"ended with exit code {code}" if code is not None else "took longer than an hour"
    hint = "\n".join(["Its last lines:", *said[-_QUOTED:]]) if said else "It said nothing."
    return Failed(f"The {name} command {how}; nothing was changed.", hint)
