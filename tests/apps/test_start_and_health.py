"""A release is started beside the one that serves, and is believed to be well only when it says so."""

from __future__ import annotations

import json
import os
import signal
import threading

import pytest
from apps_support import WEB, Slots, alive, get, until

from gitdeploy.domain.app import Check, Program
from gitdeploy.errors import Busy, Failed, Invalid, NotFound

SOON = Check(timeout=3, interval=0.05)


def test_an_app_is_healthy_as_soon_as_it_answers(slots: Slots) -> None:
    app = slots.start()
    said = slots.driver.wait_healthy(app, Check())
    assert said.startswith("healthy in ") and said.endswith(" s (GET / 200)")
    assert get(app) == (200, f"{app.slot} {slots.ports(app)[0]}")
    assert slots.driver.status(app).is_well


def test_it_sees_where_it_is_and_what_it_was_given(slots: Slots) -> None:
    layout = slots.layout()
    app = slots.healthy(env={"DATABASE_URL": "sqlite:///x y'z\n$HOME"}, layout=layout)
    env = json.loads(get(app, "/env")[1])
    assert env["DATABASE_URL"] == "sqlite:///x y'z\n$HOME"
    assert (env["GITDEPLOY_SITE"], env["GITDEPLOY_ENV"], env["GITDEPLOY_RELEASE"]) == (
        "blog", "production", app.slot,
    )  # fmt: skip
    assert env["HOME"] == str(app.folder / "own/home") and env["TMPDIR"] == str(app.folder / "own/tmp")
    assert json.loads(get(app, "/who")[1])["cwd"] == str(layout.resolve())


def test_a_release_runs_in_its_own_folder_and_never_through_a_link(slots: Slots) -> None:
    layout = slots.layout()
    link = slots.home.root / "current"
    link.symlink_to(layout)
    app = slots.healthy("exec /usr/bin/python3 -S $PWD/app.py", layout=link)
    assert json.loads(get(app, "/env")[1])["PWD"] == str(layout.resolve())
    link.unlink()
    link.symlink_to(slots.layout())
    first = slots.programs(app)[0]
    os.kill(first, signal.SIGKILL)
    until(lambda: not alive(first))
    assert json.loads(get(app, "/who")[1])["cwd"] == str(layout.resolve())


def test_packages_that_the_build_put_beside_the_app_are_found(slots: Slots) -> None:
    layout = slots.layout()
    (layout / ".packages/bin").mkdir(parents=True)
    (layout / ".packages/parts.py").write_text("NAME = 'parts'")
    (layout / ".packages/bin/serve").write_text(
        "#!/bin/sh\n/usr/bin/python3 -c 'import parts'\nexec " + WEB[5:]
    )
    (layout / ".packages/bin/serve").chmod(0o755)
    slots.healthy("serve", layout=layout)


def test_an_app_may_listen_on_a_unix_socket_instead(slots: Slots) -> None:
    app = slots.healthy(f"{WEB} socket")
    assert get(app)[0] == 200


def test_a_socket_that_is_not_the_apps_own_is_not_used(slots: Slots) -> None:
    """The keeper may reach more than the app does: a link to such a socket must lead nowhere."""
    victim = slots.healthy()
    app = slots.start(f'ln -s {victim.folder}/control.sock "$SOCKET"; exec sleep 3600')
    with pytest.raises(Failed, match="accepts no connection"):
        slots.driver.wait_healthy(app, Check(timeout=1))


def test_a_slow_start_is_waited_for(slots: Slots) -> None:
    app = slots.start(env={"SLOW_START": "2"})
    assert slots.driver.wait_healthy(app, Check()).startswith("healthy in 2")


@pytest.mark.parametrize(
    ("check", "said"),
    [
        (Check("/status/500", timeout=1, interval=0.05), "GET /status/500 answered 500, not 200."),
        (Check("/status/404", (200, 204), timeout=1, interval=0.05), "answered 404, not 200 or 204."),
        (Check(contains="welcome", timeout=1, interval=0.05), "GET / answered 200 without 'welcome' in it."),
        (Check("/slow/60", timeout=1), "GET /slow/60 got no answer within "),
        (
            Check(command="echo no; exit 7", timeout=1, interval=0.05),
            "'echo no; exit 7' ended with exit code 7.",
        ),
        (Check(command="sleep 60", timeout=1), "the command 'sleep 60' did not end within "),
        (Check(uptime=30, timeout=1), "not up yet for 30 s: web.1."),
    ],
)
def test_what_was_got_instead_is_said(slots: Slots, check: Check, said: str) -> None:
    app = slots.healthy()
    with pytest.raises(Failed) as error:
        slots.driver.wait_healthy(app, check)
    assert said in error.value.message
    assert error.value.message.startswith(f"{app.slot} did not become healthy within 1 s: ")
    assert "The last lines of web.1:\nlistening" in error.value.hint


@pytest.mark.parametrize(
    ("check", "said"),
    [
        (Check("/status/204", (200, 204)), "GET /status/204 204"),
        (Check(contains="r"), "GET / 200"),
        (Check(path=""), "accepts connections"),
        (Check(command='test -f app.py && test "$GITDEPLOY_ENV" = production'), "ended with exit code 0"),
        (Check(uptime=0.5), "GET / 200"),
    ],
)
def test_each_kind_of_check_can_succeed(slots: Slots, check: Check, said: str) -> None:
    assert said in slots.driver.wait_healthy(slots.start(), check)


def test_an_app_that_never_listens_is_quoted(slots: Slots) -> None:
    app = slots.start("echo still thinking; exec sleep 3600")
    with pytest.raises(Failed, match=r"web\.1 accepts no connection on its PORT") as error:
        slots.driver.wait_healthy(app, Check(timeout=1))
    assert error.value.hint == "The last lines of web.1:\nstill thinking"


def test_a_crash_loop_is_told_without_waiting_for_the_time_to_be_over(slots: Slots) -> None:
    app = slots.start("echo no module named shop >&2; exit 3")
    with pytest.raises(Failed) as error:
        slots.driver.wait_healthy(app, Check(timeout=60))
    assert error.value.message == f"{app.slot} keeps crashing: web.1 ended with exit code 3, 5 times."
    assert "no module named shop" in error.value.hint
    assert slots.driver.status(app).copies[0].state == "crashed"


def test_a_worker_that_keeps_crashing_keeps_its_release_from_going_live(slots: Slots) -> None:
    app = slots.start(worker="echo queue is gone; exit 1")
    with pytest.raises(Failed, match=r"keeps crashing: worker\.1"):
        slots.driver.wait_healthy(app, Check(timeout=60, uptime=30))


def test_an_app_without_web_is_healthy_when_its_programs_run(slots: Slots) -> None:
    app = slots.start(None, worker=Program("exec sleep 3600", count=2))
    assert slots.driver.wait_healthy(app, Check(uptime=0.2)).endswith("(worker.1 runs, worker.2 runs)")


def test_starting_twice_is_starting_once(slots: Slots) -> None:
    layout = slots.layout()
    app = slots.healthy(slot="twice", layout=layout)
    before = slots.pids(app)
    assert slots.start(slot="twice", layout=layout) == app
    assert slots.pids(app) == before
    with pytest.raises(Failed, match="another release"):
        slots.start(slot="twice")


def test_many_may_start_the_same_slot_at_once(slots: Slots) -> None:
    layout = slots.layout()
    threads = [
        threading.Thread(target=slots.start, kwargs={"slot": "once", "layout": layout}) for _ in range(4)
    ]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len(slots.started) == 4
    assert slots.driver.wait_healthy(slots.started[0], Check())
    assert len(slots.pids(slots.started[0])) == 1


def test_a_program_that_dies_is_started_again(slots: Slots) -> None:
    app = slots.healthy()
    first = slots.pids(app)[0]
    with pytest.raises(Exception):  # noqa: B017 - however it breaks
        get(app, "/die/4")
    until(lambda: not alive(first))
    assert get(app)[0] == 200  # waits until it is up again
    copy = slots.driver.status(app).copies[0]
    assert copy.pid != first and (copy.restarts, copy.last) == (1, "ended with exit code 4")
    assert f"{app.slot} * web.1 ended with exit code 4, started again in 0.1 s" in slots.log(app)


def test_scale(slots: Slots) -> None:
    app = slots.healthy(worker="exec sleep 3600")
    slots.driver.scale(app, {"web": 3, "worker": 0})
    slots.driver.wait_healthy(app, SOON)
    assert len({get(app)[1] for _ in range(12)}) == 3 and not slots.pids(app, "worker")
    before = slots.pids(app)
    slots.driver.scale(app, {"web": 1})
    assert slots.pids(app) == before[:1]
    assert not any(alive(pid) for pid in before[1:])
    with pytest.raises(Invalid, match="no program clock"):
        slots.driver.scale(app, {"clock": 1})


def test_a_command_runs_once_in_the_slot(slots: Slots) -> None:
    app = slots.healthy(env={"WORD": "secret"})
    assert slots.driver.run(app, 'echo "$WORD in $(pwd)"; exit 5', name="release", within=20) == 5
    assert slots.log(app, "release").endswith(f"| secret in {(app.folder / 'root').resolve()}")
    assert slots.driver.run(app, "setsid sleep 3602 & sleep 3602", name="release", within=0.3) is None


def test_what_does_not_run_is_said_so(slots: Slots) -> None:
    app = slots.healthy()
    slots.driver.drain(app)
    assert slots.driver.status(app).state == "retired"
    assert list(slots.driver.running(slots.home)) == []
    with pytest.raises(Busy):
        slots.driver.run(app, "true", name="x", within=1)
    with pytest.raises(Failed, match="retired"):
        slots.driver.wait_healthy(app, Check())
    with pytest.raises(NotFound):
        slots.driver.status(type(app)(slots.home, "blog", "production", "never"))


def test_a_retired_slot_can_be_started_again(slots: Slots) -> None:
    layout = slots.layout()
    app = slots.healthy(slot="again", layout=layout)
    slots.driver.drain(app)
    until(lambda: not (app.folder / "web.sock").exists())
    slots.healthy(slot="again", layout=layout)
    assert get(app)[0] == 200
