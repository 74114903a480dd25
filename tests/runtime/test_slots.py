"""An environment's folder: prepared whole, switched by one rename, retired without dropping anybody."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import pytest
from edge_support import make_tree, until

from gitdeploy.domain.place import RECENT
from gitdeploy.domain.serving import Rules
from gitdeploy.errors import Failed, Invalid, NotFound
from gitdeploy.process import Command, start
from gitdeploy.runtime.routes import Route, Routes
from gitdeploy.runtime.slots import DRAIN, Environment
from gitdeploy.store.home import Home


@pytest.fixture
def blog(tmp_path: Path) -> Environment:
    return Environment(Home(tmp_path), "blog", "production")


def prepare(env: Environment, slot: str, rules: Rules | None = None) -> None:
    env.prepare(slot, make_tree(env.home, {"index.html": slot}), rules or Rules())


def let_time_pass(env: Environment, slot: str) -> None:
    past = time.time() - DRAIN - 1
    os.utime(env.slot_folder(slot), (past, past))


def test_a_switch_answers_with_what_was_live_and_every_link_is_relative(blog: Environment) -> None:
    assert blog.current() is None
    prepare(blog, "r1")
    prepare(blog, "r2")
    assert (blog.point("r1"), blog.point("r2"), blog.point("r1")) == (None, "r1", "r2")
    assert blog.current() == Environment(blog.home, "blog", "production").current() == "r1"
    moved = blog.home.root.rename(blog.home.root.with_name("elsewhere"))
    assert (moved / "sites/blog/production/current/root/index.html").read_text() == "r1"


def test_pointing_at_what_was_never_prepared_changes_nothing(blog: Environment) -> None:
    prepare(blog, "r1")
    blog.point("r1")
    with pytest.raises(NotFound, match="no slot r2"):
        blog.point("r2")
    assert blog.current() == "r1"


def test_rules_are_written_only_when_there_are_any(blog: Environment) -> None:
    prepare(blog, "r1")
    prepare(blog, "r2", Rules(spa=True))
    assert not (blog.slot_folder("r1") / "rules.json").exists()
    assert (blog.slot_folder("r2") / "rules.json").exists()
    assert [one.name for one in blog.slot_folder("r1").glob("at:*")] == ["at:blog:production:r1:files"]
    assert [one.name for one in blog.slot_folder("r2").glob("at:*")] == ["at:blog:production:r2:rules"]


def test_preparing_again_is_harmless_and_a_live_slot_never_changes(blog: Environment) -> None:
    tree = make_tree(blog.home, {"index.html": "1"})
    blog.prepare("r1", tree, Rules())
    blog.point("r1")
    before = blog.slot_folder("r1").stat()
    blog.prepare("r1", tree, Rules())
    assert blog.slot_folder("r1").stat().st_ino == before.st_ino
    with pytest.raises(Failed, match="is live and cannot be changed"):
        blog.prepare("r1", tree, Rules(spa=True))
    with pytest.raises(Failed, match="is live and cannot be changed"):
        prepare(blog, "r1")
    prepare(blog, "r2")
    prepare(blog, "r2")  # another tree: replaced, as it was never live
    assert blog.slots() == ["r1", "r2"]


def forget(env: Environment, slot: str) -> None:
    """Longer ago than anything is kept for."""
    let_time_pass(env, slot)
    past = time.time() - RECENT - 1
    os.utime(env.slot_folder(slot) / "left", (past, past))


def test_retire_keeps_what_is_live_wanted_or_draining(blog: Environment) -> None:
    for slot in ("r1", "r2", "r3", "r4"):
        prepare(blog, slot)
        blog.point(slot)
    for slot in ("r1", "r2", "r3"):
        forget(blog, slot)
    os.utime(blog.slot_folder("r3"))
    blog.retire({"r1"})
    assert blog.slots() == ["r1", "r3", "r4"]  # r3 was live a moment ago: requests may still be in it
    let_time_pass(blog, "r3")
    blog.retire(set())
    assert blog.slots() == ["r4"] and blog.current() == "r4"


def test_the_last_few_releases_of_files_stay_for_their_assets(blog: Environment) -> None:
    for number in range(1, 7):
        prepare(blog, f"r{number}")
        blog.point(f"r{number}")
    prepare(blog, "never-live")
    for slot in blog.slots():
        let_time_pass(blog, slot)
    for slot in ("r5", "r4", "r3", "r2", "r1"):  # the newest first
        os.utime(blog.slot_folder(slot) / "left", (time.time() - 100 * (6 - int(slot[1])),) * 2)
    blog.retire(set())
    assert blog.slots() == ["r3", "r4", "r5", "r6"]
    blog.point("r4")
    for slot in ("r5", "r6"):
        let_time_pass(blog, slot)
    forget(blog, "r3")
    blog.retire(set())
    assert blog.slots() == ["r4", "r5", "r6"]


def test_a_slot_of_an_app_is_prepared_without_its_socket(blog: Environment) -> None:
    tree = make_tree(blog.home, {"app.py": "1"})
    assert blog.prepare_app("r1", tree) == blog.slot_folder("r1") / "web.sock"
    assert sorted(one.name for one in blog.slot_folder("r1").iterdir()) == [
        "at:blog:production:r1:app",
        "root",
    ]
    blog.point("r1")
    (blog.slot_folder("r1") / "web.sock").touch()
    blog.prepare_app("r1", tree)
    assert (blog.slot_folder("r1") / "web.sock").exists()  # what runs there was left alone
    with pytest.raises(Failed, match="is live and cannot be changed"):
        blog.prepare("r1", tree, Rules())
    prepare(blog, "r2")
    blog.point("r2")
    assert not (blog.slot_folder("r1") / "left").exists()
    let_time_pass(blog, "r1")
    blog.retire({"r1"})
    assert blog.slots() == ["r1", "r2"]
    blog.retire(set())
    assert blog.slots() == ["r2"]


def test_names_that_a_socket_cannot_have_are_refused(tmp_path: Path) -> None:
    tree = make_tree(Home(tmp_path), {"app.py": "1"})
    longest = Environment(Home(tmp_path), "s" * 30, "e" * 31)
    assert len(os.fsencode(longest.prepare_app("r" * 22, tree).relative_to(tmp_path))) <= 107
    with pytest.raises(Invalid, match="together 39 characters too long for an app's socket"):
        Environment(Home(tmp_path), "s" * 63, "e" * 38).prepare_app("r" * 22, tree)
    assert not (tmp_path / "sites" / ("s" * 63)).exists()


def test_retire_sweeps_what_a_killed_prepare_left(blog: Environment) -> None:
    prepare(blog, "r1")
    left = blog.folder / "slots" / ".r2.abcdef"
    left.mkdir()
    blog.retire({"r1"})
    assert left.exists()  # it may be at work now
    os.utime(left, (0, 0))
    blog.retire({"r1"})
    assert not left.exists() and blog.slots() == ["r1"]


def test_remove_takes_all_of_it_and_may_be_repeated(blog: Environment) -> None:
    prepare(blog, "r1")
    blog.point("r1")
    blog.remove()
    assert not blog.folder.exists() and blog.current() is None and blog.slots() == []
    blog.remove()


def test_killed_at_any_instant_what_is_live_is_whole(blog: Environment, tmp_path: Path) -> None:
    """A process prepares and switches without end and is killed again and again."""
    for slot in ("a", "b"):
        make_tree(blog.home, {"index.html": slot}).rename(tmp_path / slot)
    script = (
        "import itertools, sys; from pathlib import Path; from gitdeploy.store.home import Home\n"
        "from gitdeploy.runtime.slots import Environment; from gitdeploy.domain.serving import Rules\n"
        "home = Path(sys.argv[1]); env = Environment(Home(home), 'blog', 'production')\n"
        "for n in itertools.count():\n"
        "    other = 'b' if env.current() == 'a' else 'a'\n"
        "    env.prepare(other, home / other, Rules(spa=bool(n % 3)))\n"
        "    env.point(other)\n"
    )
    seen = set()
    for number in range(12):
        switching = start(Command((sys.executable, "-c", script, str(tmp_path))))
        before = blog.current()
        until(lambda before=before: blog.current() not in (None, before))
        time.sleep(0.003 * number)  # another instant each time
        switching.kill()
        switching.wait()
        current = blog.current()
        assert current is not None
        seen.add(current)
        folder = blog.folder / "current"
        assert (folder / "root/index.html").read_text() == current
        (address,) = folder.glob("at:*")
        rules = folder / "rules.json"
        assert address.name == f"at:blog:production:{current}:{'rules' if rules.exists() else 'files'}"
        assert not rules.exists() or Rules.from_json(json.loads(rules.read_text())).spa
    assert seen == {"a", "b"}


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "A", "a b", "-a", ":", "a:b", "é", "x" * 64])
def test_names_are_parsed_not_stripped(tmp_path: Path, name: str) -> None:
    home = Home(tmp_path)
    with pytest.raises(Invalid):
        Environment(home, name, "production")
    with pytest.raises(Invalid):
        Environment(home, "blog", name)
    with pytest.raises(Invalid):
        Routes(home).add("a.localhost", name, "production")
    if name != "A":
        with pytest.raises(Invalid):
            Environment(home, "blog", "production").slot_folder(name)


def test_the_routing_table_is_a_folder_of_links(tmp_path: Path) -> None:
    routes = Routes(Home(tmp_path))
    assert routes.hosts() == []
    routes.add("blog.localhost", "blog", "production")
    routes.add("a.example", "blog", "staging")
    routes.add("a.example", "shop", "production")
    assert Routes(Home(tmp_path)).hosts() == [
        Route("a.example", "shop", "production"),
        Route("blog.localhost", "blog", "production"),
    ]
    assert (tmp_path / "live/blog.localhost").readlink() == Path("../sites/blog/production")
    routes.remove("a.example")
    routes.remove("a.example")
    assert [route.host for route in routes.hosts()] == ["blog.localhost"]


@pytest.mark.parametrize(
    "host", ["", "..", "a/b", "A.example", "a..b", ".a", "a.", "a b", "é.example", "*.a", "x" * 300]
)
def test_a_host_that_is_none_is_refused(tmp_path: Path, host: str) -> None:
    with pytest.raises(Invalid, match="host name"):
        Routes(Home(tmp_path)).add(host, "blog", "production")
