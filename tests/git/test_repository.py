"""A site's repository: read through a quarantine and without, moved all at once or not at all."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time

import pytest
from support import GIT_ENV

from gitdeploy.domain.refs import ZERO, Update
from gitdeploy.errors import Busy, NotFound, Refused
from gitdeploy.git import export, notes
from gitdeploy.git.repository import Repository, create, shared_settings
from gitdeploy.git.transaction import RefTransaction

MAIN = "refs/heads/main"


def test_fast_forwards_are_told_from_the_rest(bench):
    one = bench.commit("one", a_txt="1")
    two = bench.commit("two", a_txt="2")
    bench.git("checkout", "-q", "-b", "side", one)
    side = bench.commit("side", a_txt="3")
    assert bench.repository.is_ancestor(one, two)
    assert bench.repository.is_ancestor(one, one)
    assert not bench.repository.is_ancestor(two, one)
    assert not bench.repository.is_ancestor(two, side)


def test_a_commit_is_read_past_its_tags(bench):
    commit = bench.commit("subject line\n\nbody", a_txt="1")
    bench.git("tag", "-a", "-m", "one", "one")
    bench.git("tag", "-a", "-m", "two", "two", "one")
    tag = bench.git("rev-parse", "two")
    bench.bare("fetch", "-q", str(bench.work), "refs/tags/two:refs/tags/two")
    assert bench.repository.ref("refs/tags/two") == tag != commit
    info = bench.repository.commit(tag)
    assert (info.id, info.subject, info.parents) == (commit, "subject line", ())
    assert "body" in info.message


@pytest.mark.parametrize("id", [ZERO, "f" * 40])
def test_what_is_no_commit_is_not_found(bench, id):
    with pytest.raises(NotFound) as refused:
        bench.repository.commit(id)
    assert refused.value.hint


def test_a_tree_and_a_blob_are_no_commits(bench):
    bench.commit("one", a_txt="1")
    for what in ("HEAD^{tree}", "HEAD:a.txt"):
        with pytest.raises(NotFound):
            bench.repository.commit(bench.git("rev-parse", what))


def test_commits_are_found_by_their_first_digits(bench):
    commit = bench.commit("one", a_txt="1")
    assert bench.repository.find_commits(commit[:7]) == [commit]
    assert bench.repository.find_commits("f" * 7) == []
    blob = bench.git("rev-parse", "HEAD:a.txt")
    assert bench.repository.find_commits(blob[:10]) == []


def test_what_lies_in_quarantine_is_seen_by_name_alone(bench, tmp_path):
    base = bench.commit("one", a_txt="1")
    bench.git("commit", "-q", "--allow-empty", "-m", "two")
    new = bench.git("rev-parse", "HEAD")
    objects = bench.repository.path / "objects"
    env = {
        "GIT_OBJECT_DIRECTORY": str(bench.work / ".git/objects"),
        "GIT_ALTERNATE_OBJECT_DIRECTORIES": str(objects),
    }
    inside = Repository(bench.repository.path, env)
    assert inside.is_ancestor(base, new)
    assert inside.file(new, "a.txt") == b"1"
    with pytest.raises(NotFound):
        bench.repository.file(new, "a.txt")


def test_history_is_here_when_a_ref_leads_to_it(bench):
    one = bench.commit("one")
    two = bench.commit("two")
    assert not bench.repository.has_history_of(one), "there is no ref yet"
    bench.bare("update-ref", MAIN, two)
    assert bench.repository.has_history_of(one)
    assert bench.repository.has_history_of(two)
    assert not bench.repository.has_history_of(bench.commit("three"))
    assert not bench.repository.has_history_of("f" * 40)


def test_a_tree_is_read_by_path(bench):
    (bench.work / "a").mkdir()
    (bench.work / "a/b.txt").write_text("b")
    commit = bench.keep()
    with bench.repository.tree(bench.repository.commit(commit).tree) as tree:
        assert tree.read("a/b.txt") == b"b"
        assert tree.list("a") == ["b.txt"]
        assert tree.list("none") == tree.list("a/b.txt") == []
        assert tree.exists("a") and not tree.exists("a/b.txt/c") and not tree.exists("../x")
        assert tree.folder("a") and tree.folder("a/b.txt") is None
        with pytest.raises(NotFound):
            tree.read("a")


def test_refs_move_together_or_not_at_all(bench):
    one, two = bench.commit("one"), bench.commit("two")
    bench.bare("update-ref", MAIN, one)
    wanted = [Update(one, two, MAIN), Update(ZERO, two, "refs/live/production")]
    with RefTransaction(bench.repository, wanted):
        pass
    assert bench.repository.refs() == {MAIN: one}
    with RefTransaction(bench.repository, wanted) as refs:
        refs.commit()
    assert bench.repository.refs() == {MAIN: two, "refs/live/production": two}
    with pytest.raises(Busy) as refused, RefTransaction(bench.repository, wanted) as refs:
        refs.commit()
    assert MAIN in refused.value.message
    with RefTransaction(bench.repository, [Update(two, ZERO, "refs/live/production")]) as refs:
        refs.commit()
    assert bench.repository.refs() == {MAIN: two}
    assert not list(bench.repository.path.rglob("*.lock"))


def test_a_ref_is_locked_between_the_two_steps(bench):
    one, two, three = bench.commit("one"), bench.commit("two"), bench.commit("three")
    bench.bare("update-ref", MAIN, one)
    with RefTransaction(bench.repository, [Update(one, two, MAIN)]) as refs:
        with pytest.raises(Busy), RefTransaction(bench.repository, [Update(one, three, MAIN)]):
            pass
        refs.commit()
    assert bench.repository.ref(MAIN) == two


def test_of_many_that_race_one_wins(bench):
    base = bench.commit("base")
    bench.bare("update-ref", MAIN, base)
    news = []
    for number in range(6):
        bench.git("checkout", "-q", base)
        news.append(bench.commit(f"new {number}"))
    won = []

    def race(new: str) -> None:
        try:
            with RefTransaction(bench.repository, [Update(base, new, MAIN)]) as refs:
                refs.commit()
            won.append(new)
        except Busy:
            pass

    threads = [threading.Thread(target=race, args=(new,)) for new in news]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert won == [bench.repository.ref(MAIN)]


def test_notes_are_added_to_and_read_back(bench):
    one, two = bench.commit("one"), bench.commit("two")
    odd = "line\u2028separator\x85next \u00e9"
    lines = [json.dumps({"release": "r1"}), json.dumps({"subject": odd}, ensure_ascii=False)]
    for line in (*lines, lines[0]):
        notes.append(bench.repository, one, line)
    notes.append(bench.repository, two, lines[0])
    assert notes.read(bench.repository) == {one: lines, two: lines[:1]}
    assert bench.bare("notes", "--ref", "deploys", "show", two) == lines[0]


NAMES = [
    b"plain",
    b"a space",
    b"new\nline",
    b"latin\xe9",
    "café".encode(),
    b"Case",
    b"case",
    b"-rf",
    b"sub/deep",
]


def test_a_checkout_has_every_byte_under_its_name(bench, tmp_path):
    for name in NAMES:
        path = bytes(bench.work) + b"/" + name
        if b"/" in name:
            (bench.work / "sub").mkdir()
        with open(path, "wb") as file:
            file.write(b"<" + name + b">")
    (bench.work / "link").symlink_to("plain")
    (bench.work / "run").write_text("x")
    (bench.work / "run").chmod(0o755)
    (bench.work / ".gitattributes").write_text("sub export-ignore\n")
    tree = bench.repository.commit(bench.keep()).tree
    out = tmp_path / "out"
    out.mkdir()
    export.checkout(bench.repository, tree, out)
    for name in NAMES:
        with open(bytes(out) + b"/" + name, "rb") as file:
            assert file.read() == b"<" + name + b">"
    assert (out / "link").readlink().name == "plain"
    assert (out / "run").stat().st_mode & 0o111
    assert [one.name for one in tmp_path.iterdir() if "index" in one.name] == []


def test_only_what_differs_is_listed(bench):
    one = bench.commit("one", a_txt="1", b_txt="1", c_txt="1")
    (bench.work / "b.txt").unlink()
    (bench.work / "c.txt").unlink()
    (bench.work / "c.txt").mkdir()
    (bench.work / "c.txt/d").write_text("now a folder")
    two = bench.commit("two", a_txt="2")
    trees = [bench.repository.commit(one).tree, bench.repository.commit(two).tree]
    put, removed = export.differences(bench.repository, *trees)
    assert sorted(one.path for one in put) == [b"a.txt", b"c.txt/d"]
    assert sorted(removed) == [b"b.txt", b"c.txt"]
    assert export.differences(bench.repository, trees[0], trees[0]) == ([], [])
    put, removed = export.differences(bench.repository, None, trees[0])
    assert (len(put), removed) == (3, [])


def test_files_are_streamed_in_their_order(bench):
    bench.commit("one", a_txt="", b_txt="b" * 3_000_000, c_txt="c")
    files, _ = export.differences(
        bench.repository, None, bench.repository.commit(bench.git("rev-parse", "HEAD")).tree
    )
    read = {
        one.path: (size, sum(map(len, chunks)))
        for one, size, chunks in export.stream(bench.repository, files)
    }
    assert read == {b"a.txt": (0, 0), b"b.txt": (3_000_000, 3_000_000), b"c.txt": (1, 1)}


def test_what_git_cannot_give_is_refused_by_name(bench, tmp_path):
    commit = bench.commit("one", a_txt="1")
    bench.git("update-index", "--add", "--cacheinfo", f"160000,{commit},vendor/\x1b[31mtheme")
    bench.git("commit", "-q", "-m", "submodule")
    tree = bench.git("rev-parse", "HEAD^{tree}")
    bench.bare("fetch", "-q", str(bench.work), "HEAD")
    with pytest.raises(Refused) as refused:
        export.checkout(bench.repository, tree, tmp_path / "out")
    assert "theme" in refused.value.message and "submodule" in refused.value.message


def test_creating_twice_is_creating_once(bench):
    from gitdeploy.git import repository as repositories

    commit = bench.commit("one")
    bench.bare("update-ref", MAIN, commit)
    settings = bench.repository.path.parent / "git.config"
    again = repositories.create(bench.repository.path, branch="main", shared=settings)
    assert again.ref(MAIN) == commit
    listed = subprocess.run(
        ["git", "-C", str(again.path), "config", "--get-all", "include.path"], capture_output=True, text=True
    )
    assert listed.stdout.splitlines() == ["../git.config"]
    assert bench.bare("config", "--includes", "receive.procReceiveRefs") == "refs"


def test_only_old_quarantines_are_swept(bench):
    objects = bench.repository.path / "objects"
    for name, age in (("tmp_objdir-incoming-old", 90_000), ("tmp_objdir-incoming-new", 0)):
        (objects / name / "pack").mkdir(parents=True)
        (objects / name / "pack/tmp_pack_x").write_text("torn")
        os.utime(objects / name, (time.time() - age,) * 2)
    bench.repository.forget_torn_pushes()
    assert [one.name for one in objects.glob("tmp_*")] == ["tmp_objdir-incoming-new"]


def test_without_the_shared_settings_every_push_is_refused(tmp_path):
    shared = tmp_path / "git.config"
    shared.write_text(shared_settings(hooks=tmp_path / "hooks", max_pack=1 << 20))
    repository = create(tmp_path / "repos/blog.git", branch="main", shared=shared)
    shared.unlink()
    project = tmp_path / "project"
    env = {**os.environ, **GIT_ENV}
    for words in (
        ("init", "-q", str(project)),
        ("-C", str(project), "commit", "-q", "--allow-empty", "-m", "x"),
    ):
        subprocess.run(["git", *words], check=True, env=env)
    done = subprocess.run(
        ["git", "-C", str(project), "push", str(repository.path), "HEAD:refs/heads/main"],
        capture_output=True, text=True, check=False, env=env,
    )  # fmt: skip
    assert done.returncode == 1
    assert "proc-receive" in done.stderr
    assert repository.ref("refs/heads/main") is None
