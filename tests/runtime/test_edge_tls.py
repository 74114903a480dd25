"""HTTPS on Caddy: certificates come on demand from a real authority, and nothing is ever configured.

Needs port 80 and 443 of a loopback address, which is where an authority looks for domains.
"""

from __future__ import annotations

import base64
import http.client
import itertools
import json
import os
import shutil
import ssl
import stat
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import http3
import pytest
from acme import Authority, own_certificate
from edge_support import App, Edge, Site, make_site, make_tree, until

from gitdeploy.domain.serving import Rules
from gitdeploy.errors import Failed, Invalid
from gitdeploy.runtime.edge import driver, launch
from gitdeploy.runtime.edge.running import Record
from gitdeploy.runtime.edge.tls import Tls
from gitdeploy.runtime.routes import Routes
from gitdeploy.store import certificates
from gitdeploy.store.certificates import Certificate
from gitdeploy.store.home import Home

NAMES = [f"n{number}.example" for number in range(1, 20)]
_next = itertools.count()


@pytest.fixture(scope="module")
def authority() -> Iterator[Authority]:
    one = Authority(*NAMES, *(f"www.{name}" for name in NAMES))
    yield one
    one.end()


@pytest.fixture(scope="module")
def edge(authority: Authority) -> Iterator[Edge]:
    home = Home(Path(tempfile.mkdtemp(dir="/tmp", prefix="gd-")))
    try:
        ensure(home, authority)
        yield Edge(home, "caddy", (authority.address, 80))
    finally:
        driver.stop(home)
        shutil.rmtree(home.root)


def ensure(home: Home, authority: Authority) -> driver.EdgeStatus:
    tls = Tls(f"{authority.address}:443", authority.directory, ca_root=str(authority.root))
    return driver.ensure(home, "caddy", f"{authority.address}:80", tls)


@pytest.fixture
def site(edge: Edge) -> Site:
    return make_site(edge)


@pytest.fixture
def domain(site: Site) -> str:
    """A name nobody has asked for yet, which leads to `site`; its www. is redirected."""
    name = NAMES[next(_next)]
    Routes(site.edge.home).own(name, site.name, "production")
    Routes(site.edge.home).redirect(f"www.{name}", name)
    site.release("r1", {"index.html": "home"})
    return name


def test_a_new_domain_has_its_certificate_at_the_first_visit_and_caddy_is_told_nothing(
    edge: Edge, authority: Authority, domain: str
) -> None:
    before = driver.status(edge.home), (edge.home.run / "caddy.json").read_bytes()
    answer = authority.visit(domain)
    assert (answer.status, answer.body) == (200, b"home")
    assert answer.certificate["subjectAltName"] == (("DNS", domain),)
    assert authority.visit(f"www.{domain}", "/a?b").headers["location"] == f"https://{domain}/a?b"
    with authority.connect(domain, alpn="h2") as connection:
        assert connection.selected_alpn_protocol() == "h2"
    assert answer.headers["alt-svc"].startswith('h3=":443"')
    assert http3.get(authority.address, domain, "/", authority.root) == (200, b"home")
    assert (driver.status(edge.home), (edge.home.run / "caddy.json").read_bytes()) == before
    assert ensure(edge.home, authority) == before[0]


def test_over_http_a_domain_is_sent_to_https_and_the_servers_own_names_are_not(
    site: Site, domain: str
) -> None:
    for host in (domain, domain.upper(), f"{domain}.", f"www.{domain}", f"WWW.{domain}", f"{domain}:80"):
        answer = site.edge.get(host, "/a%20b?c=//d")
        assert (answer.status, answer.headers["location"]) == (308, f"https://{domain}/a%20b?c=//d"), host
    assert site.get().body == b"home"


def test_nobody_gets_a_certificate_for_what_is_not_served_here(
    edge: Edge, site: Site, authority: Authority
) -> None:
    for name in ("unknown.example", site.host, "xn--bcher-kva.example", "127.0.0.1"):
        with pytest.raises(ssl.SSLError):
            authority.connect(name)
    issued = edge.home.root.glob("caddy/caddy/certificates/*/*")
    assert not {"unknown.example", site.host} & {one.name for one in issued}


def test_the_questions_that_caddy_asks_itself_are_answered_to_nobody_else(
    edge: Edge, authority: Authority, domain: str
) -> None:
    secret = Record.read(launch.record_file(edge.home)).tls.secret
    assert len(secret) == 48
    for name in ("edge.json", "caddy.json"):
        assert stat.S_IMODE((edge.home.run / name).stat().st_mode) == 0o600
    asked = f"{authority.address}:80"
    for path in ("/ask", "//ask", "/0/ask", f"/{'0' * 48}/ask", "/../ask"):
        assert edge.get(asked, f"{path}?domain={domain}").status == 404
    assert edge.get(asked, f"/{secret}/ask?domain={domain}").status == 200
    for odd in ("../live", "", ".", "..", "x/../..", f"{domain}/", "*", f"{domain}%00"):
        assert edge.get(asked, f"/{secret}/ask?domain={odd}").status == 404
        assert edge.get(asked, f"/{secret}/certificate?server_name={odd}").status == 204
    assert edge.get(asked, f"/{secret}/certificate?server_name=../run/edge").status == 204
    assert authority.visit(domain, f"/{secret}/ask?domain={domain}").status == 404


def test_a_certificate_of_ones_own_is_served_from_the_next_handshake_on(
    edge: Edge, authority: Authority, domain: str, tmp_path: Path
) -> None:
    running = driver.status(edge.home)
    for days in ("first", "second"):
        (tmp_path / days).mkdir()
        cert, key = own_certificate(tmp_path / days, domain, f"*.{domain}")
        own = Certificate.parse(cert.read_text(), key.read_text())
        assert own.covers(domain) and own.covers(f"www.{domain}") and not own.covers(f"a.b.{domain}")
        certificates.put(edge.home.certificates, domain, own)
        assert authority.visit(domain, trust=cert).body == b"home"
    kept = edge.home.certificates / f"{domain}.pem"
    assert (stat.S_IMODE(kept.stat().st_mode), stat.S_IMODE(kept.parent.stat().st_mode)) == (0o600, 0o700)
    certificates.remove(edge.home.certificates, domain)
    assert authority.visit(domain).body == b"home"
    assert driver.status(edge.home) == running


def test_what_is_no_certificate_is_refused(tmp_path: Path) -> None:
    cert, key = own_certificate(tmp_path, "a.example")
    _, other = own_certificate(tmp_path, "b.example")
    for chain, private, said in (
        ("", key.read_text(), "not PEM"),
        (key.read_text(), key.read_text(), "not PEM"),
        (cert.read_text(), "x", "The key is not PEM"),
        (cert.read_text(), other.read_text(), "does not belong"),
    ):
        with pytest.raises(Invalid, match=said):
            Certificate.parse(chain, private)


def test_switches_fail_no_request_while_new_domains_get_their_certificates(
    edge: Edge, authority: Authority, site: Site, domain: str
) -> None:
    """Every request on a connection of its own and on kept ones, while the live release and the domains change."""
    for number in range(4):
        site.production.prepare(
            f"s{number}", make_tree(edge.home, {"index.html": f"s{number} " * 99}), Rules()
        )
    site.production.point("s0")
    authority.visit(domain)
    ended, counts, wrong = threading.Event(), [0, 0], []

    def kept_connection() -> None:
        connection = authority.connect(domain)
        reader = connection.makefile("rb")
        while not ended.is_set():
            connection.sendall(f"GET / HTTP/1.1\r\nHost: {domain}\r\n\r\n".encode())
            answer = http.client.HTTPResponse(connection)
            answer.begin()
            check(0, answer.status, answer.read())
        reader.close()
        connection.close()

    def new_connections() -> None:
        while not ended.is_set():
            answer = authority.visit(domain)
            check(1, answer.status, answer.body)

    def check(kind: int, status: int, body: bytes) -> None:
        counts[kind] += 1
        if status != 200 or len(set(body.split())) != 1:
            wrong.append((status, body[:20]))

    def noted(visit: Callable[[], None]) -> None:
        try:
            visit()
        except Exception as error:
            wrong.append(error)

    visitors = [threading.Thread(target=noted, args=(one,)) for one in (kept_connection, new_connections)]
    for one in visitors:
        one.start()
    switches = 0
    try:
        for name in (NAMES[next(_next)], NAMES[next(_next)]):
            Routes(edge.home).own(name, site.name, "production")
            newcomer = threading.Thread(target=authority.visit, args=(name,))
            newcomer.start()
            while newcomer.is_alive():
                switches += 1
                site.production.point(f"s{switches % 4}")
        until(lambda: min(counts) > 50)
    finally:
        ended.set()
        for one in visitors:
            one.join()
    assert not wrong
    assert switches > 10


def test_certificates_outlive_caddy_and_need_no_authority_again(
    edge: Edge, authority: Authority, domain: str
) -> None:
    serial = authority.visit(domain).certificate["serialNumber"]
    record = Record.read(launch.record_file(edge.home))
    os.kill(record.named("caddy").pid, 9)
    until(lambda: record.named("caddy") is None)
    ensure(edge.home, authority)
    assert authority.visit(domain).certificate["serialNumber"] == serial
    assert Record.read(launch.record_file(edge.home)).tls == record.tls


def test_the_gate_and_apps_are_the_same_over_tls(
    site: Site, authority: Authority, domain: str, apps: Callable[..., App]
) -> None:
    apps(site, "a1")
    told = authority.visit(domain, "/said", x_forwarded_for="192.0.2.1", x_forwarded_proto="http")
    said = {name.lower(): value for name, value in json.loads(told.body)["headers"]}
    assert (said["x-forwarded-proto"], said["x-forwarded-for"]) == ("https", "127.0.0.1")
    site.production.maintenance("Back at <noon>")
    closed = authority.visit(domain)
    assert (closed.status, closed.headers["retry-after"]) == (503, "60")
    assert b"Back at &lt;noon&gt;" in closed.body
    site.production.maintenance(None)
    site.production.password("sesame")
    assert authority.visit(domain).status == 401
    known = "Basic " + base64.b64encode(b"me:sesame").decode()
    assert authority.visit(domain, "/", authorization=known).status == 200


def test_the_embedded_edge_says_that_it_has_no_tls(home: Home) -> None:
    with pytest.raises(Failed, match="speaks no TLS"):
        driver.ensure(home, "embedded", "127.0.0.1:0", Tls("127.0.0.1:0"))
    assert not driver.status(home).running


def test_https_at_another_port_is_where_visitors_are_sent(home: Home) -> None:
    status = driver.ensure(home, "caddy", "127.0.0.1:0", Tls("127.0.0.1:0"))
    port = status.tls.rpartition(":")[2]
    edge = Edge(home, "caddy", ("127.0.0.1", int(status.listen.rpartition(":")[2])))
    Routes(home).own("n.example", make_site(edge).name, "production")
    for host in ("n.example", "N.example."):
        assert edge.get(host, "/x").headers["location"] == f"https://n.example:{port}/x"
