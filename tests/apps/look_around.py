"""What a program does that wants to know all: says in JSON what it could reach of what it was told on its stdin."""

import contextlib
import json
import os
import shutil
import socket
import sys
from pathlib import Path


def reads(path):
    if Path(path).is_dir():
        return any(Path(path).iterdir())
    with open(path, "rb") as file:
        return bool(file.read(1))


def writes(path):
    with open(Path(path, "written"), "w") as file:
        file.write("x")
    return True


def connects(address):
    family = socket.AF_INET if isinstance(address, list) else socket.AF_UNIX
    with socket.socket(family) as door:
        door.connect(tuple(address) if isinstance(address, list) else address)
    return True


def signals(pid):
    os.kill(pid, 0)
    return True


def mounts(path):
    """By way of a user namespace, where one can be had."""
    return os.system(f"{shutil.which('unshare')} -rm umount {path} 2>/dev/null") == 0


def seen(number):
    """Whether a process that is not ours can be found and looked into."""
    found = False
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            found = found or f"WANTED={number}".encode() in (entry / "environ").read_bytes()
    return found


def tried(deed, what):
    try:
        return deed(what)
    except OSError:
        return False


DEEDS = (reads, writes, connects, signals, seen, mounts)
asked = json.loads(sys.argv[1])
done = {deed.__name__: [one for one in asked[deed.__name__] if tried(deed, one)] for deed in DEEDS}
print("FOUND", json.dumps(done), flush=True)
