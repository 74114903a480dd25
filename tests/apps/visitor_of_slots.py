"""Runs `look_around.py` in a slot, as whoever runs this: `visitor_of_slots.py <home> <data> <what to look for>`."""

import shlex
import shutil
import sys
from pathlib import Path

from gitdeploy.domain.app import AppSpec, Program
from gitdeploy.runtime.apps import driver
from gitdeploy.store.home import Home

home = Home(Path(sys.argv[1]))
layout = home.root / "sites/blog/production/slots/r1-files"
layout.mkdir(parents=True)
shutil.copy(Path(__file__).with_name("look_around.py"), layout)
app = driver.App(home, "blog", "production", "r1")
try:
    driver.start(
        app, AppSpec({"worker": Program("exec sleep 3608")}, {"GITDEPLOY_DATA": sys.argv[2]}), layout
    )
    command = f"/usr/bin/python3 -S look_around.py {shlex.quote(sys.argv[3])}"
    code = driver.run(app, command, name="look", within=30)
    print("\n".join(driver.said(app, "look")))
    assert code == 0
finally:
    driver.drain(app)
