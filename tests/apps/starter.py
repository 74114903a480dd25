"""Starts a slot and then only waits, to be killed: `starter.py <home> <slot> <layout>`."""

import sys
import time
from pathlib import Path

from apps_support import WEB

from gitdeploy.domain.app import AppSpec, Program
from gitdeploy.runtime.apps import driver
from gitdeploy.store.home import Home

spec = AppSpec({"web": Program(WEB)}, {"TOKEN": "from the one that was killed"})
driver.start(driver.App(Home(Path(sys.argv[1])), "blog", "production", sys.argv[2]), spec, Path(sys.argv[3]))
print("started", flush=True)
time.sleep(3600)
