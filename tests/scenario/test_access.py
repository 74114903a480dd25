"""Who may fetch, push, promote and ask: the same answer at every door."""

from __future__ import annotations

import re

import pytest
from scenario_support import of_its_own
from support import Project, eventually

shared = of_its_own

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFxp8/WxdHOxFm0F1UXBJzC3sZ5cZVdeVdSWCmYDvvyv maya@laptop"


@pytest.fixture
def site(desk):
    """A site with a release, and a commit that could be the next."""
    desk.commit("first", index_html="first")
    pushed = desk.push("main")
    assert pushed.ok, pushed.out
    desk.commit("second", index_html="second")
    return desk


def push_as(site, address: str, *words: str):
    site.git("remote", "remove", "other", check=False)
    site.git("remote", "add", "other", address)
    return site.push(*words, remote="other")


@pytest.mark.parametrize("secret", ["wrong", "gd_live_" + "x" * 32, "gd_live_", "%00", "é"])
def test_a_wrong_token_opens_nothing(site, secret):
    address = site.shared.address(site.site, "maya", secret)
    before = site.state()
    pushed = push_as(site, address, "main")
    assert pushed.code == 128
    assert "Authentication failed" in pushed.out
    assert "This token is not known here." in pushed.out
    assert "gitdeploy token create" in pushed.out
    assert site.run("ls-remote", address).code == 128
    assert site.state() == before


def test_without_a_token_git_asks_for_one(site):
    address = f"http://{site.shared.listen}/{site.site}.git"
    answer = site.shared.fetch(site.shared.listen, f"/{site.site}.git/info/refs?service=git-upload-pack")
    assert answer.status == 401
    assert "Basic" in answer.headers["www-authenticate"]
    pushed = push_as(site, address, "main")
    assert pushed.code == 128
    assert "could not read Username" in pushed.out


def test_a_revoked_token_counts_no_more(site):
    made = site.shared.ask("/tokens", "POST", {"actor": "maya"})
    address = site.shared.address(site.site, "maya", made["token"])
    assert site.run("ls-remote", address).ok
    site.shared.ask(f"/tokens/{made['id']}", "DELETE")
    refused = site.run("ls-remote", address)
    assert refused.code == 128
    assert "This token of maya was revoked." in refused.out


def test_a_token_ends_at_its_hour(site):
    made = site.shared.ask("/tokens", "POST", {"actor": "maya", "expires": "1s"})
    address = site.shared.address(site.site, "maya", made["token"])
    eventually(lambda: not site.run("ls-remote", address).ok)
    refused = site.run("ls-remote", address)
    assert refused.code == 128
    assert "This token of maya expired at 2" in refused.out


def test_a_token_in_a_bearer_header_is_as_good(site):
    secret = site.shared.secret("maya")
    url = f"http://{site.shared.listen}/{site.site}.git"
    assert site.run("-c", f"http.extraHeader=Authorization: Bearer {secret}", "ls-remote", url).ok


def test_each_role_may_what_it_may(site):
    viewer, developer = site.as_actor("vera", "viewer"), site.as_actor("dan", "developer")
    before = site.state()

    assert site.run("ls-remote", viewer).ok
    for words in (("main",), ("main:draft",), ("HEAD:rollback/r1",), ("HEAD:refs/tags/v1",)):
        refused = push_as(site, viewer, *words)
        assert refused.code == 128
        assert "vera is viewer of" in refused.out and "developer" in refused.out

    for words in (("main",), ("HEAD:rollback/r1",), ("HEAD:promote/main",), ("HEAD:redeploy/r1",)):
        refused = push_as(site, developer, *words)
        assert refused.code == 1
        assert "dan is developer of" in refused.out
        assert f"gitdeploy access grant dan maintainer --site {site.site}" in refused.out
        assert "[remote rejected]" in refused.out
    assert site.state() == before

    assert push_as(site, developer, "main:draft", "HEAD:refs/tags/v1").ok
    assert site.page("draft").text == "second"
    assert site.push("main").ok
    assert site.live["actor"] == "maya"
    assert site.push("HEAD:rollback/r1").ok


def test_of_a_mixed_push_only_what_one_may_is_done(site):
    developer = site.as_actor("dan", "developer")
    pushed = push_as(site, developer, "main", "main:draft")
    assert pushed.code == 1
    assert pushed.out.count("[remote rejected]") == 1
    assert site.page("draft").text == "second"
    assert site.page().text == "first"


def test_a_name_in_the_address_is_not_who_one_is(site):
    secret = site.shared.secret("vera", "viewer", site.site)
    refused = push_as(site, site.shared.address(site.site, "maya", secret), "main")
    assert refused.code == 128
    assert "vera is viewer" in refused.out


def test_a_commits_author_is_not_who_pushed(site):
    pushed = site.run("-c", "user.name=boss", "push", "managed", "main")
    assert pushed.ok, pushed.out
    assert site.live["actor"] == "maya"


def test_a_taken_role_counts_no_more(site):
    address = site.as_actor("dan", "developer")
    assert push_as(site, address, "main:draft").ok
    site.shared.ask(f"/access/dan?site={site.site}", "DELETE")
    refused = push_as(site, address, "main:draft2")
    assert refused.code == 128
    assert "There is no site" in refused.out


def test_a_role_on_one_site_is_none_on_another_which_then_does_not_exist(site, shared, tmp_path):
    other = shared.new_site(tmp_path / "other")
    other.commit("secret", index_html="secret")
    secret = shared.secret("sam", "maintainer", other.site)
    address = shared.address(site.site, "sam", secret)
    nowhere = shared.address("nowhere", "sam", secret)
    said = []
    for one, name in ((address, site.site), (nowhere, "nowhere")):
        for words in (("ls-remote", one), ("clone", one, str(tmp_path / "clone"))):
            refused = site.run(*words)
            assert refused.code == 128
            said.append(refused.out.replace(name, "NAME").replace("Cloning into", "").splitlines()[-1])
        assert shared.api(f"/v1/sites/{name}", secret).status == 404
        assert shared.api(f"/v1/sites/{name}/releases", secret).status == 404
    assert said[0] == said[2] and said[1] == said[3]
    assert push_as(site, address, "main").code == 128
    assert [one["name"] for one in shared.ask("/sites", token=secret)] == [other.site]


def test_a_first_push_makes_the_site_for_those_who_may_make_one(shared, tmp_path):
    project = Project(tmp_path / "new", shared)
    project.commit("hello", index_html="hello")
    developer = shared.secret("dora", "developer")
    refused = project.run("push", shared.address("fresh", "dora", developer), "main")
    assert refused.code == 128
    assert "dora is developer of every site and may not create a site" in refused.out
    assert not (shared.home / "repos" / "fresh.git").exists()

    maintainer = shared.secret("mara", "maintainer")
    pushed = project.run("push", shared.address("fresh", "mara", maintainer), "main")
    assert pushed.ok, pushed.out
    assert shared.get("fresh").text == "hello"
    assert (
        project.run("clone", "-q", shared.address("absent", "mara", maintainer), str(tmp_path / "x")).code
        == 128
    )
    assert "absent" not in [one["name"] for one in shared.ask("/sites")]


@pytest.mark.parametrize("name", ["..%2fx", "-rf", "a..b", "x" * 300, "Blog", "caf%C3%A9", "%00"])
def test_a_name_that_is_none_makes_no_site(shared, tmp_path, name):
    project = Project(tmp_path / "new", shared)
    project.commit("hello", index_html="hello")
    maintainer = shared.secret("mara", "maintainer")
    refused = project.run("push", shared.address(name, "mara", maintainer), "main")
    assert refused.code == 128
    assert "Use 1 to 30 of a-z" in refused.out or "not found" in refused.out
    assert all(re.fullmatch(r"[a-z0-9-]+\.git", one.name) for one in (shared.home / "repos").iterdir())


@pytest.mark.parametrize(
    "path",
    [
        "git-receive-pack?service=git-upload-pack",
        "HEAD",
        "HEAD?service=git-upload-pack",
        "config?service=git-upload-pack",
        "objects/info/packs?service=git-upload-pack",
        "../other.git/git-upload-pack?service=git-upload-pack",
        "../../ledger.db?service=git-upload-pack",
        "info/refs",
        "info/refs?service=git-archive",
        "git-upload-archive",
    ],
)  # fmt: skip
def test_a_reader_gets_nothing_but_gits_reading(site, path):
    """The service that rights are checked for is the one that is carried out."""
    secret = site.shared.secret("vera", "viewer", site.site)
    for method in ("GET", "POST"):
        answer = site.shared.fetch(
            site.shared.listen, f"/{site.site}.git/{path}", method=method, data=b"0000",
            Authorization=f"Bearer {secret}",
        )  # fmt: skip
        assert answer.status in (403, 404, 405), (method, path, answer)


def test_secrets_are_not_kept(shared):
    secret = shared.secret("maya")
    files = [one for one in shared.home.rglob("*") if one.is_file() and not one.is_symlink()]
    assert shared.home / "ledger.db" in files
    assert not [one for one in [*files, shared.log] if secret.encode() in one.read_bytes()]
    assert secret not in str(shared.ask("/tokens"))


def test_the_api_needs_a_token(shared, desk):
    for path in (
        "/v1/sites",
        f"/v1/sites/{desk.site}",
        "/v1/tokens",
        "/v1/events",
        f"/v1/sites/{desk.site}/rollback",
    ):
        for token in ("", "gd_live_wrong"):
            answer = shared.api(path, token, "POST" if path.endswith("rollback") else "GET")
            assert answer.status == 401, path
            assert '"code":"unauthorized"' in answer.text
    nobody = shared.secret("nobody")
    for path in ("/v1/tokens", "/v1/access", "/v1/keys", "/v1/events", "/v1/doctor"):
        assert shared.api(path, nobody).status == 403, path
    assert shared.ask("/sites", token=nobody) == []


def test_nobody_gives_more_than_they_have(shared, desk):
    maintainer = shared.secret("maya", "maintainer", desk.site)
    body = {"actor": "maya", "role": "admin", "site": desk.site}
    answer = shared.fetch(
        shared.listen, "/v1/access", method="POST", data=str(body).replace("'", '"').encode(),
        Authorization=f"Bearer {maintainer}", **{"Content-Type": "application/json"},
    )  # fmt: skip
    assert answer.status == 403
    assert "may not change who may do what" in answer.text


@pytest.mark.parametrize(
    "line",
    ["", "hello", "ssh-ed25519", "ssh-ed25519 !!!", "ssh-ed25519 aGVsbG8=", "ssh-dss AAAAB3NzaC1kc3M=",
     'command="sh" ' + KEY, KEY + "\n" + KEY, KEY.replace("ssh-ed25519 ", "ssh-rsa ")],
)  # fmt: skip
def test_what_is_no_key_is_refused(shared, line):
    before = (shared.home / "keys/authorized_keys").read_text()
    done = shared.cli("key", "add", "maya", check=False, stdin=line)
    assert done.returncode == 2
    assert "not an SSH public key" in done.stderr
    assert "~/.ssh/id_ed25519.pub" in done.stderr
    assert (shared.home / "keys/authorized_keys").read_text() == before


def test_a_key_belongs_to_one_actor(shared):
    shared.cli("key", "add", "maya", stdin=KEY)
    again = shared.cli("key", "add", "dan", check=False, stdin=KEY)
    assert again.returncode == 4
    assert "belongs to maya already" in again.stderr
