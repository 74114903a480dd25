"""A command that is run once, in the environment of a slot: a health check, a release command, a task."""

from __future__ import annotations

import asyncio

from gitdeploy.runtime.apps import launch
from gitdeploy.runtime.apps.family import GROUPS, MARK, Family
from gitdeploy.runtime.apps.launch import Ground
from gitdeploy.runtime.apps.logs import Capture
from gitdeploy.runtime.edge.running import Running


async def once(line: str, name: str, ground: Ground, key: str, capture: Capture, within: float) -> int | None:
    """Its exit code; None when it took longer than `within` seconds and was killed. Raises OSError."""
    group = launch.group(f"{GROUPS}-{key}-{name}", 0)
    family = Family(f"{key}/{name}", group)
    try:
        with capture.writing() as out:
            child = launch.spawn(line, ground, group, 0, {MARK: family.mark}, out)
        try:
            await asyncio.wait_for(launch.ended(Running.child(name, "", child)), within)
        except TimeoutError:
            return None
        return child.poll()
    finally:
        await family.kill()
        family.remove()
