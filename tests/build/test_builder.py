"""Builds that end well or badly by themselves."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import pytest

from gitdeploy.build import sandbox
from gitdeploy.build.builder import build, builder_id
from gitdeploy.build.sandbox import BUBBLEWRAP, NONE, PROCESSES, Isolation
from gitdeploy.domain.recipe import Recipe
from gitdeploy.errors import Failed


def failed(bench: Any, line: str, **more: Any) -> Failed:
    with pytest.raises(Failed) as error:
        bench.shell(line, **more)
    return error.value


def test_a_build_leaves_its_output_and_a_log(bench: Any) -> None:
    bench.write({"src/a.txt": "hello"})
    out = bench.shell("mkdir out && tr a-z A-Z <src/a.txt >out/a.txt && echo made >&2")
    assert out == bench.work / "out"
    assert (out / "a.txt").read_text() == "HELLO"
    assert "$ mkdir out && tr a-z A-Z <src/a.txt >out/a.txt && echo made >&2\nmade\n" in bench.text
    assert not bench.work.with_name("work.tmp").exists()


def test_this_machine_isolates_and_says_so(bench: Any) -> None:
    bench.shell("mkdir out && touch out/a")
    assert bench.text.startswith("isolated: bubblewrap, ")
    assert bench.text.splitlines()[0].endswith("without network")
    assert builder_id().startswith("gitdeploy/") and builder_id().endswith("/bubblewrap")


def test_a_site_without_commands_is_not_built(bench: Any) -> None:
    bench.write({"www/index.html": "x"})
    assert bench.build(Recipe("static", "", output="www")) == bench.work / "www"
    assert bench.build(Recipe("static", "")) == bench.work
    assert not bench.log


def test_commands_run_in_root_one_after_the_other_until_one_fails(bench: Any) -> None:
    bench.write({"site/x": ""})
    commands = (("sh", "-c", "pwd; echo first >a"), ("cat", "a"), ("cat", "a", "missing"), ("touch", "never"))
    with pytest.raises(Failed) as error:
        bench.build(Recipe("npm", "", commands, "out", root="site"))
    assert error.value.message == "The build failed: cat a missing ended with exit code 1."
    assert "/build/site\n$ cat a\nfirst\n$ cat a missing\nfirst\ncat: missing: No such file" in bench.text
    assert not (bench.work / "site/never").exists()


def test_a_failing_build_says_which_command_and_code(bench: Any) -> None:
    error = failed(bench, "echo the reason >&2; exit 3")
    assert error.message == "The build failed: echo the reason >&2; exit 3 ended with exit code 3."
    assert bench.text.endswith("the reason\n")


def test_a_tool_that_is_not_there_is_named(bench: Any) -> None:
    bench.work.mkdir()
    with pytest.raises(Failed) as error:
        bench.build(Recipe("hugo", "", (("no-such-tool", "x"),), "public"))
    assert error.value.message == "no-such-tool is not installed on the server."


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("true", "The build left no folder out/."),
        ("mkdir out", "The build wrote nothing into out/."),
        ("touch out", "The build's output out is not a folder of its own but a file or a link."),
        ("ln -s /etc out", "The build's output out is not a folder of its own but a file or a link."),
        (
            "mkdir a && touch a/b && ln -s a out",
            "The build's output out is not a folder of its own but a file or a link.",
        ),
    ],
)
def test_an_output_that_cannot_be_published_is_refused(bench: Any, line: str, said: str) -> None:
    error = failed(bench, line)
    assert error.message == said
    assert "[build] output" in error.hint


def test_an_output_behind_a_link_is_refused(bench: Any) -> None:
    (bench.top / "elsewhere/out").mkdir(parents=True)
    (bench.top / "elsewhere/out/key").touch()
    error = failed(bench, f"ln -s {bench.top}/elsewhere a", output="a/out")
    assert "is not a folder of its own" in error.message


def test_a_build_sees_the_variables_it_declares_and_no_others(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAEMON_SECRET", "do-not-tell")
    value = 'it\'s "$HOME" `id` \\ \n second line; é'
    out = bench.shell(
        'mkdir out; printf %s "$API_URL" >out/url; env >out/env; tr "\\0" "\\n" </proc/1/cmdline >out/argv',
        env=("API_URL", "MISSING", "TOKEN"),
        variables={"API_URL": value, "UNDECLARED": "undeclared"},
        secrets={"TOKEN": "secret-token"},
    )
    assert (out / "url").read_text() == value
    seen = (out / "env").read_text()
    assert "TOKEN=secret-token\n" in seen
    assert "undeclared" not in seen and "do-not-tell" not in seen
    assert "secret-token" not in (out / "argv").read_text()
    assert "MISSING is declared in [build] env, but has no value\n" in bench.text


def test_a_variable_cannot_reach_what_runs_outside_of_the_sandbox(bench: Any) -> None:
    out = bench.shell(
        "mkdir out; touch out/a",
        env=("LD_PRELOAD", "PATH", "BASH_ENV"),
        variables={"LD_PRELOAD": "/build/evil.so", "PATH": "/usr/bin:/bin", "BASH_ENV": "/build/evil"},
    )
    assert (out / "a").exists()
    assert "evil.so" in bench.text  # the loader complains inside, as the build's own user


def test_folders_are_kept_from_one_build_to_the_next(bench: Any) -> None:
    line = (
        "mkdir out; cp deep/kept/n out/n || touch out/n; mkdir -p deep/kept; (cat out/n; echo x) >deep/kept/n"
    )
    for number, expected in enumerate(["", "x\n", "x\nx\n"]):
        if number:
            bench.work.rename(bench.top / f"old{number}")
        bench.write({"deep/file": ""})
        assert (bench.shell(line, cache=("deep/kept",)) / "n").read_text() == expected
    assert not (bench.work / "deep/kept").exists()


def test_a_failed_build_keeps_nothing_and_a_link_is_never_kept(bench: Any) -> None:
    elsewhere = bench.top / "keys"
    elsewhere.mkdir()
    (elsewhere / "key").write_text("private")
    bench.shell(
        f"mkdir out; touch out/a; ln -s {elsewhere} kept; mkdir a; rmdir a; ln -s {bench.top} a",
        cache=("kept", "a/keys"),
    )
    assert (elsewhere / "key").exists()
    assert not [path for path in bench.top.glob("cache/kept*/**/*") if path.name in ("kept", "keys")]


def test_what_the_commit_holds_is_not_replaced_by_what_was_kept(bench: Any) -> None:
    bench.shell("mkdir out kept; echo old >kept/a; touch out/a", cache=("kept",))
    bench.work.rename(bench.top / "old")
    bench.write({"kept/a": "new"})
    out = bench.shell("mkdir out; cp kept/a out/", cache=("kept",))
    assert (out / "a").read_text() == "new"


def test_tools_find_their_downloads_again(bench: Any) -> None:
    bench.shell('mkdir out; touch out/a; echo downloaded >"$XDG_CACHE_HOME/file"')
    bench.shell('cat "$XDG_CACHE_HOME/file"')
    assert "downloaded\n" in bench.text


def test_two_builds_of_a_site_at_once_both_succeed(bench: Any) -> None:
    results: list[str] = []

    def one(number: int) -> None:
        work = bench.top / f"work{number}"
        work.mkdir()
        recipe = Recipe(
            "command",
            "",
            (("sh", "-c", "mkdir out; mkdir -p kept; touch kept/a; touch out/a"),),
            "out",
            cache=("kept",),
        )
        results.append(build(recipe, work, bench.top / "cache", lambda _: None, threading.Event()).name)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert results == ["out"] * 4


@pytest.mark.parametrize("level", [PROCESSES, NONE])
def test_without_bubblewrap_a_build_runs_and_the_log_says_what_is_missing(
    open_bench: Any, level: str
) -> None:
    isolation = Isolation(level, "bubblewrap is not installed (apt-get install bubblewrap)")
    out = open_bench.shell('mkdir out; id -u >out/id; echo "$HOME" >out/home', isolation=isolation)
    assert open_bench.text.startswith(
        "not isolated: bubblewrap is not installed (apt-get install bubblewrap)\n"
    )
    assert "network = false has no effect" in open_bench.text
    user = sandbox.build_user()
    assert (out / "id").read_text() == f"{user.uid if user else os.getuid()}\n"
    assert Path((out / "home").read_text().strip()).parent == open_bench.work.with_name("work.tmp")


def test_without_bubblewrap_a_closed_folder_is_said_to_be_closed(bench: Any) -> None:
    bench.top.chmod(0o700)
    error = failed(bench, "true", isolation=Isolation(NONE, ""))
    assert "may not enter" in error.message and "bubblewrap" in error.hint


def test_this_machine_knows_what_it_can() -> None:
    assert sandbox.isolation() == Isolation(BUBBLEWRAP)
