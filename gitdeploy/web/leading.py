"""A server with standbys looks whether it may act, from before its doors open until it ends."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import threading
from collections.abc import Iterator

from gitdeploy.service.context import Context
from gitdeploy.service.lead import FIRST_LOOK, Lead
from gitdeploy.store.elsewhere import elsewhere
from gitdeploy.store.terms import Terms


class Leading:
    """`again` is set when it may act after all: the server ends, and begins anew with what a start does first."""

    def __init__(self) -> None:
        self.again = threading.Event()
        self.opened = threading.Event()
        self.ending = threading.Event()

    def begin(self) -> None:
        self.opened.wait()
        if not self.ending.is_set():
            self.again.set()
            os.kill(os.getpid(), signal.SIGTERM)


@contextlib.contextmanager
def leading(ctx: Context) -> Iterator[Leading]:
    """With `[standby]` the place is asked before the block runs, for a few seconds at most."""
    found = Leading()
    said = ctx.server.standby
    if said.to:
        ctx.lead = Lead(Terms(elsewhere(said.to, dataclasses.asdict(said))), ctx.home, said.seconds)
        threading.Thread(
            target=ctx.lead.run, args=(found.ending, found.begin), name="standby", daemon=True
        ).start()
        ctx.lead.looked.wait(timeout=FIRST_LOOK)
        ctx.lead.settled = ctx.lead.confirmed
    try:
        yield found
    finally:
        found.ending.set()
        found.opened.set()
