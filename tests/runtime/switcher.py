"""argv: home site count stop-file folder. Switches to and fro once both readers have begun."""

import sys
import time
from pathlib import Path

from gitdeploy.runtime.slots import Environment
from gitdeploy.store.home import Home

home, site, count, stop, folder = sys.argv[1:]
environment = Environment(Home(Path(home)), site, "production")
deadline = time.monotonic() + 30
while not all(Path(folder, f"{name}.begun").exists() for name in ("index.html", "big.bin")):
    assert time.monotonic() < deadline
    time.sleep(0.01)
for number in range(int(count)):
    environment.point(f"r{number % 2 + 1}")
    time.sleep(0.005)
Path(stop).touch()
