"""A site's own domains, from the command line to the visitor."""

from __future__ import annotations

import json
import shutil
import stat

import pytest
from acme import Authority, own_certificate
from support import Project, Server, eventually, passing_project, running

from gitdeploy.errors import Invalid
from gitdeploy.service.server_file import load as load_settings

server = pytest.fixture(scope="module", params=["embedded"])(running)
project = pytest.fixture(passing_project)


def visit(server, host, path="/"):
    """`(status, text or where it is redirected)`"""
    page = server.fetch(server.edge, path, Host=host)
    return page.status, page.headers.get("location") or page.text


@pytest.fixture
def blog(server, project):
    project.commit("one", index_html="one")
    assert project.push("main").ok
    return project


@pytest.mark.parametrize("server", ["embedded", "caddy"], indirect=True)
def test_a_domain_answers_and_its_www_leads_to_it(server, blog):
    port = server.edge.rpartition(":")[2]
    said = server.cli("domain", "add", "blog", "Example.org").stderr
    assert "http://example.org" in said and "www.example.org is redirected" in said
    assert visit(server, "example.org") == (200, "one")
    assert visit(server, f"www.example.org:{port}", "/a?b") == (308, f"http://example.org:{port}/a?b")
    assert visit(server, "blog.localhost") == (200, "one")
    blog.commit("two", index_html="two")
    assert blog.push("main").ok
    assert visit(server, "example.org") == (200, "two")
    server.cli("domain", "add", "blog", "www.bücher.example")
    assert visit(server, "www.xn--bcher-kva.example") == (200, "two")
    assert server.facts("site", "show", "blog")["domains"][1] == f"http://www.xn--bcher-kva.example:{port}/"
    assert f"http://example.org:{port}/" in server.cli("site", "show", "blog").stdout
    assert visit(server, "xn--bcher-kva.example") == (308, "http://www.xn--bcher-kva.example/")
    listed = server.facts("domain", "list", "blog")
    assert [(one["domain"], one["redirected"], one["env"], one["certificate"]) for one in listed] == [
        ("example.org", "www.example.org", "production", None),
        ("www.xn--bcher-kva.example", "xn--bcher-kva.example", "production", None),
    ]
    server.cli("domain", "remove", "blog", "example.org")
    assert {visit(server, host)[0] for host in ("example.org", "www.example.org")} == {404}
    assert [one["action"] for one in server.facts("events", "--site", "blog") if "domain" in one["action"]] == [
        "domain.removed", "domain.added", "domain.added",
    ]  # fmt: skip


def test_both_names_can_be_domains_and_either_can_go(server, blog):
    server.cli("domain", "add", "blog", "example.org")
    server.cli("domain", "add", "blog", "www.example.org")
    assert visit(server, "example.org") == visit(server, "www.example.org") == (200, "one")
    assert [one["redirected"] for one in server.facts("domain", "list", "blog")] == [None, None]
    server.cli("domain", "remove", "blog", "example.org")
    assert visit(server, "example.org") == (308, "http://www.example.org/")
    server.cli("domain", "remove", "blog", "www.example.org")
    assert visit(server, "example.org")[0] == visit(server, "www.example.org")[0] == 404


def test_a_domain_belongs_to_one_site_and_never_to_the_server(server, blog):
    server.cli("site", "create", "shop")
    server.cli("domain", "add", "blog", "example.org")
    for name, code, said in (
        ("example.org", 4, "taken by another site"),
        ("www.example.org", 4, "taken by another site"),
        ("blog.localhost", 2, "belongs to the server"),
        ("localhost", 2, "is not a domain name"),
        ("../x", 2, "is not a domain name"),
    ):
        done = server.cli("domain", "add", "shop", name, check=False)
        assert (done.returncode, said in done.stderr) == (code, True), done.stderr
    assert server.cli("domain", "remove", "shop", "example.org", check=False).returncode == 3
    assert visit(server, "example.org") == (200, "one")
    assert server.facts("domain", "list", "shop") == []


def test_a_developer_may_not_give_a_site_a_domain_and_a_stranger_sees_none(server, blog):
    server.cli("domain", "add", "blog", "example.org")
    developer, stranger = server.token("dee", "developer", "blog"), server.token("sam")
    asked = "/v1/sites/blog/domains"
    assert server.api(asked, developer).status == 200
    assert server.api(asked, developer, "POST", {"domain": "a.example"}).status == 403
    assert server.api(f"{asked}/example.org", developer, "DELETE").status == 403
    assert server.api(asked, stranger).status == 404
    assert server.api("/v1/sites/blog/allow", developer, "PATCH", {"add": ["192.0.2.1"]}).status == 403


def test_a_domain_can_lead_to_an_environment_that_stays_and_be_moved(server, blog):
    blog.write("gitdeploy.toml", '[environments.staging]\nbranch = "staging"\n')
    blog.commit("settings")
    assert blog.push("main").ok
    blog.commit("staged", index_html="staged")
    assert blog.push("HEAD:refs/heads/staging").ok
    assert blog.push("HEAD:refs/heads/feature/x").ok
    server.cli("domain", "add", "blog", "example.org", "--env", "staging")
    assert visit(server, "example.org") == (200, "staged")
    server.cli("domain", "add", "blog", "example.org")
    assert visit(server, "example.org") == (200, "one")
    refused = server.cli("domain", "add", "blog", "x.example", "--env", "feature/x", check=False)
    assert refused.returncode == 2 and "is a preview" in refused.stderr


def test_links_are_made_again_at_the_start_and_those_of_nobody_go(server, blog):
    server.cli("domain", "add", "blog", "example.org")
    server.kill()
    for folder in ("live", "domains"):
        shutil.rmtree(server.home / folder)
    (server.home / "domains/stray.example").mkdir(parents=True)
    (server.home / "live").mkdir()
    (server.home / "live/stray.example").symlink_to("../sites/blog/production")
    (server.home / "live/www.stray.example").symlink_to("../domains/stray.example")
    assert visit(server, "example.org")[0] == 404
    server.start()
    assert visit(server, "example.org") == (200, "one")
    assert visit(server, "www.example.org") == (308, "http://example.org/")
    assert visit(server, "stray.example")[0] == visit(server, "www.stray.example")[0] == 404
    assert not (server.home / "live/www.stray.example").is_symlink()


def test_domains_follow_a_renamed_site_and_go_with_a_removed_one(server, blog):
    server.cli("domain", "add", "blog", "example.org")
    server.cli("site", "rename", "blog", "journal")
    assert visit(server, "example.org") == (200, "one")
    assert visit(server, "www.example.org") == (308, "http://example.org/")
    assert [one["domain"] for one in server.facts("domain", "list", "journal")] == ["example.org"]
    server.cli("site", "remove", "journal", "--yes")
    assert visit(server, "example.org")[0] == visit(server, "www.example.org")[0] == 404
    assert not list((server.home / "domains").iterdir())
    server.cli("site", "create", "shop")
    server.cli("domain", "add", "shop", "www.example.org")


def test_domains_are_read_back_when_the_ledger_is_lost(server, blog):
    server.cli("domain", "add", "blog", "example.org")
    server.cli("domain", "add", "blog", "www.other.example")
    server.stop()
    for path in server.home.glob("ledger.db*"):
        path.unlink()
    server.cli("recover")
    server.start()
    listed = server.facts("domain", "list", "blog")
    assert [(one["domain"], one["redirected"], one["env"]) for one in listed] == [
        ("example.org", "www.example.org", "production"),
        ("www.other.example", "other.example", "production"),
    ]
    assert visit(server, "example.org") == (200, "one")


@pytest.mark.parametrize("server", ["embedded", "caddy"], indirect=True)
def test_only_known_addresses_may_visit(server, blog):
    server.cli("allow", "add", "blog", "192.0.2.0/24", "2001:db8::7")
    assert visit(server, "blog.localhost")[0] == 403
    assert server.facts("allow", "list", "blog") == {
        "env": "production", "networks": ["192.0.2.0/24", "2001:db8::7/128"],
    }  # fmt: skip
    blog.commit("two", index_html="two")
    assert blog.push("main").ok
    server.cli("allow", "add", "blog", "127.0.0.1")
    assert visit(server, "blog.localhost") == (200, "two")
    refused = server.cli("allow", "remove", "blog", "192.0.2.9", check=False)
    assert refused.returncode == 3
    assert server.cli("allow", "add", "blog", "here", check=False).returncode == 2
    server.cli("allow", "remove", "blog", "127.0.0.1", "192.0.2.0/24")
    assert visit(server, "blog.localhost")[0] == 403
    assert "Everybody may visit" in server.cli("allow", "remove", "blog", "2001:db8::7").stderr
    assert visit(server, "blog.localhost") == (200, "two")


def test_over_https_a_domain_is_served_with_a_certificate_that_nobody_configured(tmp_path, request):
    authority = Authority("example.org", "www.example.org", "own.example")
    request.addfinalizer(authority.end)
    server = Server(
        edge_driver="caddy", settings=authority.settings,
        edge=f"{authority.address}:80", edge_tls=f"{authority.address}:443",
    )  # fmt: skip
    request.addfinalizer(server.destroy)
    server.start()
    server.cli("site", "create", "blog")
    project = Project(tmp_path / "project", server)
    project.git("remote", "add", "managed", server.remote("blog", "maya", "maintainer"))
    project.commit("one", index_html="one")
    assert project.push("main").ok
    running = server.facts("edge", "status")
    configured = (server.home / "run/caddy.json").read_bytes()

    assert (
        "https://example.org/ is production of blog."
        in server.cli("domain", "add", "blog", "example.org").stderr
    )
    assert authority.visit("example.org").body == b"one"
    assert visit(server, "example.org", "/x") == (308, "https://example.org/x")
    assert authority.visit("www.example.org").headers["location"] == "https://example.org/"

    cert, key = own_certificate(tmp_path, "own.example")
    wrong = server.cli(
        "domain", "add", "blog", "other.example", "--cert", str(cert), "--key", str(key), check=False
    )
    assert wrong.returncode == 2 and "own.example, not for other.example" in wrong.stderr
    assert (
        server.cli("domain", "add", "blog", "own.example", "--cert", str(cert), check=False).returncode == 2
    )
    server.cli("domain", "add", "blog", "own.example", "--cert", str(cert), "--key", str(key))
    assert authority.visit("own.example", trust=cert).body == b"one"
    kept = server.home / "certificates/own.example.pem"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert [one["certificate"] for one in server.facts("domain", "list", "blog")] == ["automatic", "own"]
    assert key.read_text().splitlines()[1] not in server.said()
    kept.write_bytes(b"damaged")
    assert "The certificate of own.example has ended" in server.cli("doctor", check=False).stdout
    server.cli("domain", "add", "blog", "own.example", "--cert", str(cert), "--key", str(key))
    assert "own.example" not in server.cli("doctor", check=False).stdout

    server.kill()
    assert authority.visit("example.org").body == b"one"
    assert authority.visit("own.example", trust=cert).body == b"one"
    server.start()
    assert server.facts("edge", "status") == running
    assert (server.home / "run/caddy.json").read_bytes() == configured
    server.cli("domain", "remove", "blog", "own.example")
    assert not kept.exists()


def test_a_certificate_of_ones_own_needs_tls(server, blog, tmp_path):
    cert, key = own_certificate(tmp_path, "example.org")
    done = server.cli(
        "domain", "add", "blog", "example.org", "--cert", str(cert), "--key", str(key), check=False
    )
    assert done.returncode == 2 and "--edge-tls" in done.stderr
    assert server.facts("domain", "list", "blog") == []


def test_settings_of_tls_are_checked_before_anything_starts(request):
    server = Server(settings="[tls]\nca_root = 'nowhere'\n")
    request.addfinalizer(server.destroy)
    with pytest.raises(AssertionError, match="there is no file nowhere"):
        server.start()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ("[tls]\nacme = 'http://ca'\n", "no https:// address"),
        ("[tls]\nport = 1\n", r"\[tls\] is not understood"),
        ("tls = 1\n", r"\[tls\] is not understood"),
        ("[tls]\nemail = 7\n", "wrong type"),
    ],
)
def test_settings_of_tls_that_are_none(tmp_path, settings, said):
    (tmp_path / "server.toml").write_text(settings)
    with pytest.raises(Invalid, match=said):
        load_settings(tmp_path / "server.toml")


@pytest.mark.parametrize("server", ["embedded", "caddy"], indirect=True)
def test_the_visits_of_a_site_are_told_to_those_who_work_on_it(server, blog):
    assert blog.push("HEAD:refs/heads/feature/x").ok
    server.cli("site", "create", "other")
    server.cli("domain", "add", "blog", "example.org")
    for host in (
        "other.localhost",
        "example.org",
        "blog.localhost",
        "WWW.example.org:80",
        "feature-x--blog.localhost",
    ):
        visit(server, host, f"/from?{host}")

    def told(*words):
        lines = server.cli("logs", "blog", "--access", *words).stdout.splitlines()
        return [json.loads(line)["request"]["host"] for line in lines]

    eventually(lambda: len(told()) == 4)
    assert told() == ["example.org", "blog.localhost", "WWW.example.org:80", "feature-x--blog.localhost"]
    current = server.home / "logs/access.log"
    current.rename(server.home / "logs/access-2020-01-01T00-00-00.000.log")
    current.write_bytes(b'{"cut sho')
    assert told("--lines", "2") == ["WWW.example.org:80", "feature-x--blog.localhost"]
    viewer = server.token("vic", "viewer", "blog")
    assert server.api("/v1/sites/blog/access-log", viewer).status == 403
    server.cli("site", "remove", "blog", "--yes")
    server.cli("site", "create", "blog")
    visit(server, "blog.localhost")
    eventually(
        lambda: len(told()) == 1, why="the visits of the site that had the name before are not of this one"
    )
