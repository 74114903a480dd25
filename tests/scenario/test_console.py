"""`gitdeploy console` from a real terminal: a shell in the live release that behaves as one, and leaves nothing."""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import shlex
import signal
import subprocess
import time

import pytest
from scenario_support import of_its_own, processes_with
from support import GITDEPLOY, eventually, passing_project, running
from terminal import Terminal

from gitdeploy.runtime.edge.sockets import UnixConnection

shared = of_its_own
server = pytest.fixture(scope="module")(running)
project = pytest.fixture(passing_project)

APP = "web: exec python3 -m http.server --bind 127.0.0.1 $PORT\n"


@pytest.fixture(scope="module")
def shop(shared, tmp_path_factory):
    """An app that is live on a site of the shared server."""
    desk = shared.new_site(tmp_path_factory.mktemp("console") / "project")
    desk.write("Procfile", APP)
    desk.commit("an app")
    pushed = desk.push("main")
    assert pushed.ok, pushed.out
    return desk


@pytest.fixture
def console(shop, request):
    def open_it(*command: str, **env: str) -> Terminal:
        one = Terminal(*GITDEPLOY, "--home", str(shop.shared.home), "console", shop.site, *command, **env)

        def end() -> None:
            one.close()
            one.client.wait(20)

        request.addfinalizer(end)
        return one

    return open_it


def jobs(shop) -> list[str]:
    slots = (shop.shared.home / "sites" / shop.site / "production/slots").glob("r*/state.json")
    return [job for one in slots for job in json.loads(one.read_text())["jobs"]]


def test_a_shell_in_the_live_release(shop, console):
    one = console()
    one.shows(f"{shop.site} production r1 $ ")
    one.type("echo it is $GITDEPLOY_RELEASE, $TERM; pwd; tty >/dev/null && echo a-terminal\r")
    one.shows("$GITDEPLOY_RELEASE")  # what is typed is seen
    one.shows("it is r1, xterm")
    one.shows("/slots/r1/app")
    one.shows("a-terminal")
    one.type("echo typoo\x7f\x7f-mended\r")
    one.shows("typ-mended")
    one.type("exit 7\r")
    assert one.code() == 7
    assert jobs(shop) == []


def test_the_end_of_what_is_typed_ends_it(console):
    one = console("--", "cat; echo cat has ended; exit 3")
    one.type("word\r")
    one.shows("word\r\nword")
    one.type("\x04")
    one.shows("cat has ended")
    assert one.code() == 3


def test_ctrl_c_interrupts_the_program_and_not_the_console(console):
    one = console()
    one.type("sleep 4711; echo after $?\r")
    eventually(lambda: processes_with("sleep\x004711"))
    one.type("\x03")
    one.shows("$ ")
    one.type("echo still-$((1+1))\r")
    one.shows("still-2")
    one.type("\x04")
    assert one.code() in (0, 130)  # the shell's last command was an echo; dash says what was interrupted


def test_ctrl_c_is_for_the_program_also_where_no_shell_looks_after_it(console):
    """The first process on a terminal hangs up when it ends: it waits for what it runs."""
    script = "import time\ntry:\n    print('ready'); time.sleep(99)\nexcept KeyboardInterrupt:\n    print('caught')"
    one = console("--", f'cd . && python3 -c "{script}"; echo and on; exit 4')
    one.shows("ready")
    one.type("\x03")
    one.shows("caught")
    one.shows("and on")
    assert one.code() == 4


def test_the_size_of_the_window_is_the_programs(console):
    one = console()
    one.type("stty size\r")
    one.shows("24 80")
    one.type("trap 'echo resized: $(stty size)' WINCH; echo set-$((1+1))\r")
    one.shows("set-2")
    one.resize(40, 132)
    one.type("\r")
    one.shows("resized: 40 132")


def test_everything_typed_and_shown_arrives(console):
    """More than any buffer between holds, in both directions at once."""
    one = console("--", "stty raw -echo; echo ready; head -c 300000 | tee /dev/tty | sha256sum; sleep 0.1")
    one.shows("ready")
    data, seen = b"0123456789" * 30_000, b""
    left = data
    os.set_blocking(one.fd, False)
    until = time.monotonic() + 30
    while len(seen) < len(data):
        assert time.monotonic() < until, len(seen)
        can_read, can_write, _ = select.select([one.fd], [one.fd] if left else [], [], 1)
        if can_write:
            with contextlib.suppress(BlockingIOError):
                left = left[os.write(one.fd, left[:4096]) :]
        if can_read:
            seen += os.read(one.fd, 65536).lstrip(b"\r\n") if not seen else os.read(one.fd, 65536)
    assert seen.startswith(data)
    os.set_blocking(one.fd, True)
    assert one.code() == 0


@pytest.mark.parametrize("how", ["killed", "its terminal is closed", "ended"])
def test_nothing_is_left_when_the_user_goes(shop, console, how):
    mark = str(time.monotonic_ns())
    one = console()
    one.shows("$ ")
    one.type(f"(trap '' HUP TERM INT; sleep {mark}) & sleep {mark}\r")
    eventually(lambda: len(processes_with(mark)) >= 2)
    match how:
        case "killed":
            one.client.kill()
        case "its terminal is closed":
            one.close()
        case _:
            one.client.terminate()
    eventually(lambda: not processes_with(mark) and not jobs(shop))
    assert one.client.wait(20) == {"killed": -9, "ended": 143}.get(how, 129)


def test_the_users_terminal_is_as_it_was(shop):
    words = [*GITDEPLOY, "--home", str(shop.shared.home), "console", shop.site]
    one = Terminal("sh", "-c", f"stty -g; {shlex.join(words)} -- 'stty raw -echo'; stty -g")
    assert one.code() == 0
    one.close()
    before, after = one.text.split()
    assert before == after


def test_what_the_app_calls_its_console(shop, console):
    shop.write("Procfile", APP + "console: echo the console of the app, in $GITDEPLOY_ENV; exit 5\n")
    shop.commit("with a console")
    assert shop.push("HEAD:feature/console").ok
    one = console("--env", "feature/console")
    one.shows("the console of the app, in feature/console")
    assert one.code() == 5
    ran = shop.shared.facts("ps", shop.site, "--env", "feature/console")
    assert [one["name"] for one in ran] == ["web.1"]


def test_a_console_is_for_a_terminal(shop):
    done = shop.shared.cli("console", shop.site, "--", "date", check=False)
    assert done.returncode == 2
    assert "A console needs a terminal" in done.stderr and f"gitdeploy run {shop.site} -- date" in done.stderr


def test_who_may_not_run_commands_has_no_console(shop, console, tmp_path):
    """In the name of somebody whom the SSH door let in."""
    shared = shop.shared
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "key")], check=True)
    made = shared.ask("/keys", "POST", {"actor": "vera", "key": (tmp_path / "key.pub").read_text()})

    def session() -> str:
        asked = json.dumps({"key": made["id"], "pid": os.getpid()})
        with contextlib.closing(UnixConnection(shared.home / "run/api.sock")) as door:
            door.request("POST", "/v1/sessions", asked, {"Content-Type": "application/json"})
            return str(json.loads(door.getresponse().read())["session"])

    unseen = console(GITDEPLOY_SESSION=session())
    unseen.shows("There is no site")
    assert unseen.code() == 3
    for role in ("viewer", "developer"):
        shared.secret("vera", role, shop.site)
        one = console(GITDEPLOY_SESSION=session())
        one.shows(f"vera is {role} of")
        assert one.code() == 5
    shared.secret("vera", "maintainer", shop.site)
    one = console("--", "echo let in", GITDEPLOY_SESSION=session())
    one.shows("let in")
    assert one.code() == 0
    events = [
        one for one in shop.shared.ask(f"/events?site={shop.site}") if one["action"] == "processes.console"
    ]
    newest = events[0]
    assert (newest["actor"], newest["env"], newest["subject"]) == ("vera", "production", "r1")
    assert newest["data"] == {"command": "echo let in"}
    refused = [one for one in events if one["data"]["command"] == "/bin/sh" and one["actor"] == "vera"]
    assert not refused


def test_no_site_no_app_no_server(shop, shared, console, tmp_path):
    other = shared.new_site(tmp_path / "files")
    other.commit("files", index_html="files")
    assert other.push("main").ok
    gitdeploy = [*GITDEPLOY, "--home", str(shared.home), "console"]
    for words, code, said in (
        ([*gitdeploy, "nowhere"], 3, "There is no site"),
        ([*gitdeploy, other.site], 3, "No app is live"),
        ([*gitdeploy, shop.site, "--env", "nowhere"], 3, "nowhere"),
        ([*GITDEPLOY, "--home", str(tmp_path), "console", shop.site], 1, "No gitdeploy is running"),
        ([*GITDEPLOY, "--url", "http://127.0.0.1:1", "console", shop.site], 2, "on the machine itself"),
    ):
        one = Terminal(*words)
        one.shows(said)
        assert one.code() == code, words
        one.close()


def test_it_goes_on_while_the_server_is_killed_and_through_a_switch(server, project, request):
    """Another server: it is killed. The console knows nothing of it, and its release is kept for it."""
    project.write("Procfile", APP)
    project.commit("an app")
    assert project.push("main").ok
    gitdeploy = [*GITDEPLOY, "--home", str(server.home), "console", "blog"]
    one = Terminal(*gitdeploy)
    request.addfinalizer(one.close)
    one.shows("blog production r1 $ ")
    server.kill()
    one.type("echo alone-$((1+1))\r")
    one.shows("alone-2")
    gone = Terminal(*gitdeploy)
    gone.shows("No gitdeploy is running")
    assert gone.code() == 1
    gone.close()
    server.start()
    project.write("other", "file")
    project.commit("another release")
    assert project.push("main").ok
    record = server.home / "sites/blog/production/slots/r1/state.json"
    eventually(lambda: json.loads(record.read_text())["state"] == "draining")
    eventually(lambda: json.loads(record.read_text())["copies"] == [])
    one.type("echo kept-$((1+1))\r")
    one.shows("kept-2")
    one.type("exit 9\r")
    assert one.code() == 9
    eventually(lambda: not record.exists() or json.loads(record.read_text())["state"] == "retired")


def test_it_is_said_when_the_keeper_is_killed_and_nothing_is_left(server, project, request):
    project.write("Procfile", APP)
    project.commit("an app")
    assert project.push("main").ok
    one = Terminal(*GITDEPLOY, "--home", str(server.home), "console", "blog")
    request.addfinalizer(one.close)
    one.shows("$ ")
    mark = str(time.monotonic_ns())
    one.type(f"sleep {mark}\r")
    eventually(lambda: processes_with(mark))
    record = server.home / "sites/blog/production/slots/r1/state.json"
    os.kill(json.loads(record.read_text())["keeper"]["pid"], signal.SIGKILL)
    one.shows("The console was cut off")
    assert one.code() == 1
    eventually(lambda: not processes_with(mark))
    assert re.search(r"r1", str(server.facts("live", "blog")))
