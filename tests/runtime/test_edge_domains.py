"""Domains of a site's own, and their other names: links say so, and both edges obey."""

from __future__ import annotations

import itertools

import pytest
from edge_support import Site

from gitdeploy.runtime.routes import Route, Routes
from gitdeploy.runtime.slots import Environment

_numbers = itertools.count(1)


@pytest.fixture
def domain(site: Site) -> str:
    """A domain that leads to `site`, with its www. redirected; the edge is shared, the domain is not."""
    name = f"n{next(_numbers)}.example"
    routes = Routes(site.edge.home)
    routes.own(name, site.name, "production")
    routes.redirect(f"www.{name}", name)
    site.release("r1", {"index.html": "home", "a b.txt": "x"})
    return name


def test_a_domain_is_the_site_and_its_other_name_leads_there(site: Site, domain: str) -> None:
    for host in (domain, domain.upper(), f"{domain}.", f"{domain}:8080"):
        assert site.edge.get(host).body == b"home"
    for path in ("/", "/a/b?c=d&e=%2F", "/%C3%BC", "//evil.example/", "/a%0d%0aSet-Cookie:x", "/?to=//x"):
        for method in ("GET", "HEAD", "POST"):
            answer = site.edge.get(f"www.{domain}", path, method)
            assert (answer.status, answer.headers["location"]) == (308, f"http://{domain}{path}")
            assert answer.headers["cache-control"] == "public, max-age=0, must-revalidate"
            assert not answer.body and "set-cookie" not in answer.headers


def test_the_port_a_visitor_came_by_is_kept_and_so_is_the_spelling_of_the_domain(
    site: Site, domain: str
) -> None:
    for host in (f"www.{domain}:8080", f"WWW.{domain}:8080", f"www.{domain}.:8080"):
        assert site.edge.get(host, "/x").headers["location"] == f"http://{domain}:8080/x"


@pytest.mark.parametrize("target", [b"*", b"@evil.example", b"http://evil.example/x", b"evil.example:80"])
def test_no_target_of_a_request_leads_elsewhere(site: Site, domain: str, target: bytes) -> None:
    raw = b"GET " + target + b" HTTP/1.1\r\nHost: www." + domain.encode() + b"\r\nConnection: close\r\n\r\n"
    head = site.edge.raw(raw).partition(b"\r\n\r\n")[0].lower()
    assert b"\r\nlocation:" not in head or f"location: http://{domain}/".encode() in head


def test_a_redirect_answers_whatever_stands_before_the_site(site: Site, domain: str) -> None:
    site.production.maintenance("closed")
    assert site.edge.get(f"www.{domain}").status == 308
    assert site.edge.get(domain).status == 503
    Environment(site.edge.home, site.name, "production").maintenance(None)


def test_a_domain_that_is_taken_back_answers_no_more(site: Site, domain: str) -> None:
    routes = Routes(site.edge.home)
    assert {domain, f"www.{domain}"} <= set(routes.domains())
    assert Route(domain, site.name, "production") in routes.hosts()
    assert f"www.{domain}" not in {one.host for one in routes.hosts()}
    routes.own(f"www.{domain}", site.name, "production")
    routes.redirect(domain, f"www.{domain}")
    assert site.edge.get(f"www.{domain}").body == b"home"
    assert site.edge.get(domain).headers["location"] == f"http://www.{domain}/"
    for host in (domain, f"www.{domain}"):
        routes.disown(host)
        routes.disown(host)
        assert site.edge.get(host).status == 404
    assert domain not in routes.domains()
    assert site.get().body == b"home"
