"""What every edge does, whichever driver serves: real processes, real sockets."""

from __future__ import annotations

import gzip
import os
import sys
from pathlib import Path

import pytest
from edge_support import Edge, Site, make_site, make_tree, parse

from gitdeploy.domain.serving import Rules, parse_headers, parse_redirects
from gitdeploy.process import Command, check, start
from gitdeploy.runtime.routes import Routes
from gitdeploy.runtime.slots import Environment

PAGE = "<!doctype html><title>home</title>" + "<p>words</p>" * 300


# --- host names ---------------------------------------------------------------------------------------


def test_production_a_named_environment_a_preview_and_a_build_each_answer_by_host_name(site: Site) -> None:
    site.release("r1", {"index.html": "production"})
    for env in ("staging", "feature-checkout", "bld-01jabc"):
        place = Environment(site.edge.home, site.name, env)
        place.prepare("r1", make_tree(site.edge.home, {"index.html": env}), Rules())
        place.point("r1")
        Routes(site.edge.home).add(f"{env}--{site.host}", site.name, env)
        answer = site.edge.get(f"{env}--{site.host}")
        assert (answer.status, answer.body) == (200, env.encode())
        assert answer.headers["x-robots-tag"] == "noindex"
    assert site.get().body == b"production"
    assert "x-robots-tag" not in site.get().headers


def test_a_preview_says_noindex_on_its_404_and_redirects_too(site: Site) -> None:
    site.release("r1", {"d/index.html": "x"})
    Routes(site.edge.home).add(f"f--{site.host}", site.name, "production")
    for path, status in (("/nope", 404), ("/d", 308), ("/d/", 200)):
        answer = site.edge.get(f"f--{site.host}", path)
        assert (answer.status, answer.headers["x-robots-tag"]) == (status, "noindex")


def test_an_international_name_is_no_preview(site: Site) -> None:
    site.release("r1", {"index.html": "x"})
    host = f"xn--bcher-kva.{site.host}"
    Routes(site.edge.home).add(host, site.name, "production")
    assert "x-robots-tag" not in site.edge.get(host).headers


def test_case_port_and_a_trailing_dot_make_no_difference(site: Site) -> None:
    site.release("r1", {"index.html": "here"})
    for host in (
        site.host.upper(),
        f"{site.host}.",
        f"{site.host}:8480",
        f"{site.host.title()}.:80",
        f"{site.host}:",
    ):
        assert site.edge.get(host).body == b"here", host


@pytest.mark.parametrize(
    "host",
    [
        "nobody.localhost",
        "..",
        ".",
        "../sites",
        "a/b",
        "a..b",
        "",
        "*",
        "[::1]",
        "-",
        "x" * 300,
        "~",
        "a b",
        "é",
        "127.0.0.1",
    ],
)
def test_an_unknown_or_hostile_host_is_a_clean_404(edge: Edge, host: str) -> None:
    answer = edge.get(host)
    assert answer.status in (400, 404)
    assert b"root:" not in answer.body
    if answer.status == 404:
        assert b"No site here" in answer.body and answer.headers["cache-control"] == "no-store"


def test_a_host_cannot_leave_the_table(edge: Edge) -> None:
    """`live/..` is the home, `live/../sites/x/y` an environment that has no host name."""
    secret = edge.home.root / "current"
    (secret / "root").mkdir(parents=True, exist_ok=True)
    (secret / "root" / "index.html").write_text("secret")
    for serves in ("files", "rules"):
        (secret / f"at:x:y:z:{serves}").touch()
    for host in ("..", "../", "%2e%2e", "..:80", "live/..", ".\\..", "..."):
        assert b"secret" not in edge.get(host).body


def test_a_missing_or_repeated_host_is_no_site(edge: Edge) -> None:
    assert parse(edge.raw(b"GET / HTTP/1.0\r\n\r\n")).status == 404
    assert parse(edge.raw(b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n")).status in (400, 404)
    twice = b"GET / HTTP/1.1\r\nHost: a.localhost\r\nHost: b.localhost\r\nConnection: close\r\n\r\n"
    assert parse(edge.raw(twice)).status in (400, 404)


def test_a_host_without_a_release_and_a_removed_one_are_no_site(site: Site) -> None:
    assert site.get().status == 404
    site.release("r1", {"index.html": "x"})
    assert site.get().status == 200
    site.production.remove()
    assert site.get().status == 404
    site.release("r2", {"index.html": "y"})
    assert site.get().body == b"y"
    Routes(site.edge.home).remove(site.host)
    assert b"No site here" in site.get().body


# --- files --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.html", "text/html; charset=utf-8"),
        ("a.css", "text/css; charset=utf-8"),
        ("a.js", "text/javascript; charset=utf-8"),
        ("a.mjs", "text/javascript; charset=utf-8"),
        ("a.json", "application/json"),
        ("a.svg", "image/svg+xml"),
        ("a.woff2", "font/woff2"),
        ("a.wasm", "application/wasm"),
        ("a.txt", "text/plain; charset=utf-8"),
        ("a.webmanifest", "application/manifest+json"),
        ("a.ico", "image/x-icon"),
        ("a.mp4", "video/mp4"),
        ("a.PNG", "image/png"),
        ("a.b/LICENSE", "application/octet-stream"),
        ("a.unheard-of", "application/octet-stream"),
    ],
)
def test_types_come_from_one_table(site: Site, name: str, kind: str) -> None:
    site.release("r1", {name: "content"})
    answer = site.get(f"/{name}")
    assert (answer.status, answer.headers["content-type"], answer.body) == (200, kind, b"content")


def test_a_folder_is_its_index_and_its_address_ends_in_a_slash(site: Site) -> None:
    site.release(
        "r1", {"index.html": "home", "docs/index.html": "docs", "empty/x.txt": "x", "ü x/index.html": "odd"}
    )
    assert (site.get("/").body, site.get("/docs/").body) == (b"home", b"docs")
    assert site.get("/docs").status == 308
    assert site.get("/docs").headers["location"] == "/docs/"
    assert site.get("/docs?a=1&b=%20").headers["location"] == "/docs/?a=1&b=%20"
    assert site.get("/%C3%BC%20x").headers["location"] == "/%C3%BC%20x/"
    assert site.get("/%C3%BC%20x/").body == b"odd"
    assert (
        site.get("/empty/").status == site.get("/empty").status == site.get("/docs/index.html/").status == 404
    )


def test_a_redirect_to_a_folder_never_leads_to_another_host(site: Site) -> None:
    site.release("r1", {"evil.example/index.html": "x"})
    answer = site.get("//evil.example")
    assert answer.status in (308, 404)
    assert answer.headers.get("location", "/evil.example/") == "/evil.example/"


@pytest.mark.parametrize(
    "name",
    [
        b"a b.txt",
        b"a\nb.txt",
        b"100%.txt",
        b"what?.txt",
        b"a#b.txt",
        b"\xff\xfe.txt",
        "ü.txt".encode(),
        b"%41.txt",
        b"a+b.txt",
        b"{http.request.host}.txt",
        b"[a]*.txt",
        b"a\\b.txt",
        b"-",
        b"..a",
    ],
)
def test_odd_names_are_served_by_their_encoded_path(site: Site, name: bytes) -> None:
    site.release("r1", {b"f/" + name: b"content of it"})
    path = b"/f/" + b"".join(b"%%%02X" % byte for byte in name)
    answer = site.get(path)
    assert (answer.status, answer.body) == (200, b"content of it")


@pytest.mark.parametrize(
    "path",
    [
        "/../secret.txt", "/%2e%2e/secret.txt", "/..%2fsecret.txt", "/%2e%2e%2fsecret.txt",
        "/a/../../secret.txt", "/..%5csecret.txt", "/a/./../../../secret.txt", "/..;/secret.txt",
        "/.%2e/.%2e/.%2e/.%2e/.%2e/.%2e/etc/passwd", "//etc/passwd", "/%2fetc/passwd",
        "/%00", "/index.html%00.txt", "/%ff%fe", "/%", "/%zz",
        "/" + "a" * 300, "/" + "é" * 100 + "/", "/" + "x/" * 3000,
    ],
)  # fmt: skip
def test_no_path_leaves_the_release(site: Site, path: str) -> None:
    site.release("r1", {"index.html": "home", "a/b.txt": "b"})
    tree = (site.production.slot_folder("r1") / "root").resolve()
    (tree.parent / "secret.txt").write_text("secret")
    answer = site.get(path.encode())
    assert answer.status in (400, 404)
    assert b"secret" not in answer.body and b"root:" not in answer.body


def test_rule_files_are_never_served(site: Site) -> None:
    site.release("r1", {"_redirects": "x", "_headers": "x", "_headers.bak": "x", "docs/_headers": "fine"})
    for path in ("/_redirects", "/_headers", "/%5fredirects", "//_redirects", "/_headers.bak", "/_REDIRECTS"):
        assert site.get(path).status == 404, path
    assert site.get("/docs/_headers").body == b"fine"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_other_methods_are_refused_with_allow(site: Site, method: str) -> None:
    site.release("r1", {"index.html": "home"})
    answer = site.get("/", method)
    assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")


def test_head_is_get_without_a_body(site: Site) -> None:
    site.release("r1", {"index.html": PAGE, "404.html": "gone"})
    for path in ("/", "/nope"):
        head, get = site.get(path, "HEAD"), site.get(path)
        assert head.body == b"" and head.status == get.status
        assert {**head.headers, "date": ""} == {**get.headers, "date": ""}


# --- versions, parts, compression ---------------------------------------------------------------------


def test_equal_sizes_do_not_make_equal_tags(site: Site) -> None:
    site.release("r1", {"index.html": "version 1"})
    before = site.get().headers["etag"]
    site.release("r2", {"index.html": "version 2"})
    answer = site.get(if_none_match=before)
    assert (answer.status, answer.body) == (200, b"version 2")
    assert answer.headers["etag"] != before


def test_a_rollback_is_seen_at_once_though_files_grow_older(site: Site) -> None:
    """mtimes stand for hashes, so dates would lie: none is sent, none is believed."""
    site.release("r1", {"index.html": "version 1"})
    site.release("r2", {"index.html": "version 2"})
    site.production.point("r1")
    answer = site.get(if_modified_since="Fri, 01 Jan 2100 00:00:00 GMT")
    assert (answer.status, answer.body) == (200, b"version 1")
    assert "last-modified" not in answer.headers


def test_what_the_visitor_has_is_not_sent_again(site: Site) -> None:
    site.release("r1", {"a.css": PAGE})
    tag = site.get("/a.css").headers["etag"]
    for known in (tag, f"W/{tag}", f'"x", W/"y", {tag}', "*"):
        answer = site.get("/a.css", if_none_match=known)
        assert (answer.status, answer.body) == (304, b""), known
        assert answer.headers["etag"] == tag and "last-modified" not in answer.headers
    assert site.get("/a.css", if_none_match='"other"').status == 200


def test_a_part_of_a_file(site: Site) -> None:
    data = bytes(range(256)) * 2000
    site.release("r1", {"a.bin": data, "empty.bin": b""})
    tag = site.get("/a.bin").headers["etag"]
    for asked, part in (
        ("bytes=0-0", data[:1]),
        ("bytes=100-", data[100:]),
        ("bytes=-5", data[-5:]),
        ("bytes=10-999999999", data[10:]),
        ("bytes=7-300000", data[7:300001]),
    ):
        answer = site.get("/a.bin", range=asked)
        assert (answer.status, answer.body) == (206, part), asked
        assert answer.headers["content-range"].endswith(f"/{len(data)}")
    assert site.get("/a.bin", range="bytes=0-9", if_range=tag).status == 206
    for other in ('"other"', f"W/{tag}"):
        answer = site.get("/a.bin", range="bytes=0-9", if_range=other)
        assert (answer.status, answer.body) == (200, data)
    past = site.get("/a.bin", range=f"bytes={len(data)}-")
    assert (past.status, past.headers["content-range"]) == (416, f"bytes */{len(data)}")
    assert site.get("/empty.bin", range="bytes=0-").status in (200, 416)


def test_text_is_compressed_when_asked_for(site: Site) -> None:
    site.release("r1", {"index.html": PAGE, "small.html": "tiny", "a.png": PAGE, "big.js": PAGE * 100})
    plain = site.get("/")
    for path, body in (("/", PAGE), ("/big.js", PAGE * 100)):
        answer = site.get(path, accept_encoding="br, gzip")
        assert answer.headers["content-encoding"] == "gzip" and "Accept-Encoding" in answer.headers["vary"]
        assert gzip.decompress(answer.body) == body.encode()
        assert [name for name, _ in answer.every].count("etag") == 1
    tag = site.get("/", accept_encoding="gzip").headers["etag"]
    assert tag == f"W/{plain.headers['etag']}"
    assert site.get("/", accept_encoding="gzip", if_none_match=tag).status == 304
    for path, accept in (("/", "gzip;q=0"), ("/", "br"), ("/small.html", "gzip"), ("/a.png", "gzip")):
        assert "content-encoding" not in site.get(path, accept_encoding=accept).headers, (path, accept)


def test_a_part_is_never_compressed(site: Site) -> None:
    site.release("r1", {"index.html": PAGE})
    answer = site.get("/", accept_encoding="gzip", range="bytes=0-1999")
    assert (answer.status, answer.body) == (206, PAGE.encode()[:2000])
    assert "content-encoding" not in answer.headers


@pytest.mark.parametrize(
    ("name", "kept"),
    [("index.html", False), ("app.js", False), ("app.3f2a9c1b.js", True), ("main-0123456789abcdef.css", True),
     ("report-20240131.pdf", False), ("jquery-carousel.js", False), ("a_deadbeef00/x.js", False)],
)  # fmt: skip
def test_only_a_name_with_a_content_hash_is_kept_for_long(site: Site, name: str, kept: bool) -> None:
    site.release("r1", {name: "x"})
    cache = site.get(f"/{name}").headers["cache-control"]
    assert cache == ("public, max-age=31536000, immutable" if kept else "public, max-age=0, must-revalidate")


# --- what is not there --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", ["/nope", "/nope/", "/assets/app.3f2a9c1b.js", "/index.html/x", "/x.png", "/a%20b"]
)
def test_a_missing_file_is_the_sites_404_page_and_is_not_stored(site: Site, path: str) -> None:
    site.release("r1", {"index.html": "home", "404.html": "our own page"})
    for headers in ({}, {"range": "bytes=0-3"}, {"if_none_match": "*"}, {"accept_encoding": "gzip"}):
        answer = site.get(path, **headers)
        assert (answer.status, answer.body) == (404, b"our own page")
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert answer.headers["cache-control"] == "no-store"
        assert not {"etag", "last-modified", "content-range", "accept-ranges"} & answer.headers.keys()


def test_without_a_404_page_there_is_a_clean_one(site: Site) -> None:
    site.release("r1", {"index.html": "home"})
    answer = site.get("/nope.css")
    assert (answer.status, answer.headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert (
        b"Page not found" in answer.body and b"{" in answer.body and answer.body.rstrip().endswith(b"</html>")
    )


@pytest.mark.parametrize("spa", ["setting", "rule"])
def test_a_missing_asset_of_a_single_page_app_is_no_page(site: Site, spa: str) -> None:
    rules = Rules(spa=True) if spa == "setting" else Rules(redirects=parse_redirects("/* /index.html 200"))
    site.release("r1", {"index.html": "the app"}, rules)
    for path in ("/", "/users/7", "/deep/er", "/users/john.doe"):
        assert (site.get(path).status, site.get(path).body) == (200, b"the app"), path
    for path in (
        "/assets/app.3f2a9c1b.js",
        "/app.css",
        "/chunk.0123abcd.unknown",
        "/favicon.ico",
        "/m.js.map",
    ):
        answer = site.get(path)
        assert (answer.status, answer.headers["cache-control"]) == (404, "no-store"), path
        assert answer.body != b"the app"


# --- page rules ---------------------------------------------------------------------------------------


def test_redirects_headers_and_clean_urls(site: Site) -> None:
    rules = Rules(
        redirects=parse_redirects(
            "/old/:slug /new/:slug 302\n/docs/* https://docs.example/:splat\n/a /b.html 200"
        ),
        headers=parse_headers("/*\n  X-Frame-Options: DENY\n/assets/*\n  Cache-Control: public, max-age=60"),
        clean_urls=True,
    )
    site.release(
        "r1", {"index.html": "home", "about.html": "about", "b.html": "b", "assets/x.js": "x"}, rules
    )
    moved = site.get("/old/a%20b?q=1")
    assert (moved.status, moved.headers["location"]) == (302, "/new/a%20b?q=1")
    assert site.get("/docs/x/y").headers["location"] == "https://docs.example/x/y"
    assert site.get("/a").body == b"b"
    assert site.get("/about").body == b"about"
    assert site.get("/about.html").headers["location"] == "/about"
    home = site.get("/")
    assert (home.headers["x-frame-options"], home.headers["cache-control"]) == (
        "DENY",
        "public, max-age=0, must-revalidate",
    )
    assert site.get("/assets/x.js").headers["cache-control"] == "public, max-age=60"


def test_a_redirect_injects_nothing(site: Site) -> None:
    site.release(
        "r1",
        {"index.html": "x"},
        Rules(redirects=parse_redirects("/go/* /:splat 302\n/p/:x https://a.example/:x")),
    )
    for path in (
        "/go//evil.example",
        "/go/%2f%2fevil.example",
        "/go/%5cevil.example",
        "/go/a%0d%0aX-Evil:%201",
        "/p/a%0d%0aX-Evil:1",
        "/p/@evil.example",
    ):
        answer = site.get(path)
        location = answer.headers["location"]
        assert "x-evil" not in answer.headers and not location.startswith(("//", "/\\")), path
        assert location.startswith(("/", "https://a.example/"))


def test_a_switch_between_a_release_with_rules_and_one_without(site: Site) -> None:
    site.release("r1", {"index.html": "plain"})
    site.release("r2", {"index.html": "app"}, Rules(spa=True))
    assert site.get("/anything").body == b"app"
    site.production.point("r1")
    assert site.get("/anything").status == 404
    site.production.point("r2")
    assert site.get("/anything").body == b"app"


def test_noindex_can_be_a_rule(site: Site) -> None:
    site.release("r1", {"index.html": "x"}, Rules(noindex=True))
    for path in ("/", "/nope"):
        assert [value for name, value in site.get(path).every if name == "x-robots-tag"] == ["noindex"]


# --- switches -----------------------------------------------------------------------------------------


def test_five_thousand_hosts_are_links_and_nothing_else(edge: Edge) -> None:
    site = make_site(edge)
    site.release("r1", {"index.html": "shared"})
    for number in range(5000):  # as Routes.add does, without its 5,000 flushes to disk
        (edge.home.live / f"h{number}.{site.host}").symlink_to(f"../sites/{site.name}/production")
    before = (edge.home.run / "edge.json").read_bytes()
    assert {edge.get(f"h{number}.{site.host}").body for number in (0, 2500, 4999)} == {b"shared"}
    site.release("r2", {"index.html": "switched"})
    assert {edge.get(f"h{number}.{site.host}").body for number in (0, 2500, 4999)} == {b"switched"}
    assert (edge.home.run / "edge.json").read_bytes() == before


@pytest.mark.parametrize("kind", ["plain", "rules"])
def test_under_load_each_answer_is_wholly_of_one_release(site: Site, kind: str, tmp_path: Path) -> None:
    """200 switches between releases of different lengths, while others read a page and a large file."""
    for slot, filler, length in (("r1", b"-", 3_000), ("r2", b"=", 5_000)):
        mark = f"[{slot}]".encode()
        files = {"index.html": mark + filler * length + mark, "big.bin": mark + filler * length * 200 + mark}
        site.release(
            slot, files, Rules(headers=parse_headers(f"/*\n  X-Release: {slot}")) if kind == "rules" else None
        )
    host, port = site.edge.address
    stop = tmp_path / "stop"
    readers = []
    for name in ("index.html", "big.bin"):
        out = open(tmp_path / name, "wb")  # noqa: SIM115 (closed below)
        argv = (
            sys.executable,
            str(Path(__file__).with_name("reader.py")),
            host,
            str(port),
            site.host,
            f"/{name}",
            str(stop),
        )
        readers.append((start(Command(argv), stdout=out, stderr=out), out))
    check(
        Command(
            (
                sys.executable,
                str(Path(__file__).with_name("switcher.py")),
                str(site.edge.home.root),
                site.name,
                "200",
                str(stop),
                str(tmp_path),
            )
        )
    )
    for reader, out in readers:
        assert reader.wait(60) == 0
        out.close()
    for name in ("index.html", "big.bin"):
        said = (tmp_path / name).read_text().split()
        requests, failed, mixed, seen = int(said[0]), int(said[1]), int(said[2]), said[3:]
        assert (failed, mixed) == (0, 0), (tmp_path / name).read_text()
        assert requests > 100 and seen == ["r1", "r2"]


def test_a_tag_is_never_sent_with_the_bytes_of_another_release(site: Site) -> None:
    """An edge that stats by name and opens by name again could, in the moment of a switch."""
    tags = {}
    for slot in ("r1", "r2"):
        site.release(slot, {"index.html": f"{slot}"})
        tags[slot.encode()] = site.get().headers["etag"]
    script = Path(__file__).with_name("flipper.py")
    flipping = start(Command((sys.executable, str(script), os.fspath(site.production.folder))))
    try:
        for _ in range(1500):
            answer = site.get()
            assert answer.status == 200 and answer.headers["etag"] == tags[answer.body]
    finally:
        flipping.kill()
        flipping.wait()
