"""What a person is told when something goes wrong that nobody thought of."""

from __future__ import annotations

import errno
import logging
from pathlib import Path

from gitdeploy.errors import Failed, GitdeployError
from gitdeploy.store import durable

UNFORESEEN = ("gitdeploy met an error of its own.", "The server's log says more.")
log = logging.getLogger("gitdeploy")


def plainly(error: Exception, doing: str) -> GitdeployError:
    """The error to tell for `error`, met while `doing`; a mistake of our own goes to the log with its traceback."""
    if isinstance(error, GitdeployError):
        return error
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return durable.said(error, Path(error.filename or "."))
    log.error("%s", doing, exc_info=error)
    return Failed(*UNFORESEEN)
