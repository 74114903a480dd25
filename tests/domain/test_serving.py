"""The pure decision: what a release answers to a path."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitdeploy.domain.host import HostName
from gitdeploy.domain.serving import Kind, Redirect, Rules, Serve, decide, parse_headers, parse_redirects
from gitdeploy.errors import Invalid

FILES = (
    "index.html",
    "about.html",
    "docs/index.html",
    "docs/x.txt",
    "both.html",
    "both/index.html",
    "app.js",
)


def exists(path: str) -> Kind | None:
    if path in FILES or path == "404.html":
        return "file"
    return "folder" if path == "" or any(file.startswith(path.rstrip("/") + "/") for file in FILES) else None


def ask(path: str, rules: Rules | None = None, query: str = "") -> tuple[str | None, int]:
    answer = decide(rules or Rules(), path, exists, query)
    return (answer.to, answer.status) if isinstance(answer, Redirect) else (answer.path, answer.status)


def redirects(text: str) -> Rules:
    return Rules(redirects=parse_redirects(text))


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("/", ("index.html", 200)),
        ("/index.html", ("index.html", 200)),
        ("/docs/", ("docs/index.html", 200)),
        ("/docs", ("/docs/", 308)),
        ("/docs/x.txt", ("docs/x.txt", 200)),
        ("/docs/x.txt/", ("404.html", 404)),
        ("/about", ("404.html", 404)),
        ("//docs//x.txt", ("docs/x.txt", 200)),
        ("/docs/../app.js", ("404.html", 404)),
        ("/./app.js", ("404.html", 404)),
        ("/app.js\0", ("404.html", 404)),
        ("app.js", ("404.html", 404)),
        ("", ("404.html", 404)),
    ],
)
def test_without_rules(path: str, answer: tuple[str, int]) -> None:
    assert ask(path) == answer


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("/about", ("about.html", 200)),
        ("/about/", ("/about", 308)),
        ("/about.html", ("/about", 308)),
        ("/index.html", ("/", 308)),
        ("/docs/index.html", ("/docs/", 308)),
        ("/docs", ("/docs/", 308)),
        ("/both", ("both.html", 200)),
        ("/both/", ("both/index.html", 200)),
        ("/404.html", ("404.html", 200)),
        ("/", ("index.html", 200)),
    ],
)
def test_clean_urls(path: str, answer: tuple[str, int]) -> None:
    assert ask(path, Rules(clean_urls=True)) == answer


def test_the_404_page_can_have_another_name_or_none() -> None:
    assert ask("/nope", Rules(not_found="docs/x.txt")) == ("docs/x.txt", 404)
    assert decide(Rules(not_found="gone.html"), "/nope", exists) == Serve(None, 404)
    for bad in ("", "../x", "a/../b", "/x", "x/", "a\0"):
        with pytest.raises(Invalid, match="static/not_found"):
            Rules(not_found=bad)


def test_placeholders_splats_and_queries() -> None:
    rules = redirects(
        "/b/:year/:slug /posts/:year-:slug\n/old/* /new/:splat 302\n/q /x?from=q 307\n/f /x#part"
    )
    assert ask("/b/2024/hello", rules) == ("/posts/2024-hello", 301)
    assert ask("/b/2024/hello/", rules) == ("/posts/2024-hello", 301)
    assert ask("/b/2024", rules) == ("404.html", 404)
    assert ask("/old/a/b c", rules, "x=1") == ("/new/a/b%20c?x=1", 302)
    assert ask("/old", rules) == ("/new/", 302)
    assert ask("/q", rules, "x=1") == ("/x?from=q", 307)
    assert ask("/f", rules, "x=1") == ("/x?x=1#part", 301)


def test_a_star_takes_an_ending() -> None:
    rules = Rules(headers=parse_headers("/img/*.png\n  X-Kind: picture\n/*\n  X-All: yes"))
    assert decide(rules, "/docs/x.txt", exists).headers == (("X-All", "yes"),)  # type: ignore[union-attr]
    kinds = decide(rules, "/img/a/b.png", exists).headers  # type: ignore[union-attr]
    assert kinds == (("X-Kind", "picture"), ("X-All", "yes"))


def test_a_file_wins_unless_the_rule_forces() -> None:
    assert ask("/app.js", redirects("/app.js /x")) == ("app.js", 200)
    assert ask("/app.js", redirects("/app.js /x 301!")) == ("/x", 301)
    assert ask("/docs", redirects("/docs /x")) == ("/docs/", 308)


def test_the_first_rule_that_matches_wins_exact_or_not() -> None:
    assert ask("/a/b", redirects("/a/* /first\n/a/b /second")) == ("/first", 301)
    assert ask("/a/b", redirects("/a/b /first\n/a/* /second\n/a/b /third")) == ("/first", 301)


def test_rewrites_stay_in_the_site() -> None:
    rules = redirects(
        "/r /docs/ 200\n/g /about.html 404\n/m /nothing.html 200\n/e /%2e%2e/x 200\n/h /_headers 200"
    )
    assert ask("/r", rules) == ("docs/index.html", 200)
    assert ask("/g", rules) == ("about.html", 404)
    assert ask("/m", rules) == ask("/e", rules) == ask("/h", rules) == ("404.html", 404)


def test_a_redirect_to_itself_is_passed_over() -> None:
    assert ask("/x", redirects("/* /:splat 301!")) == ("404.html", 404)
    assert ask("/app.js", redirects("/* /:splat 301!")) == ("app.js", 200)


def test_a_catch_all_page_never_stands_in_for_an_asset() -> None:
    for rules in (Rules(spa=True), redirects("/* /index.html 200")):
        assert ask("/users/7", rules) == ("index.html", 200)
        for path in ("/gone.js", "/gone.3f2a9c1b.xyz", "/a/b.css", "/font.WOFF2"):
            assert ask(path, rules) == ("404.html", 404), path
        assert ask("/gone.html", rules) == ("index.html", 200)
    assert ask("/gone.js", redirects("/* /app.js 200")) == ("app.js", 200)
    assert ask("/gone.js", redirects("/gone.js /index.html 200")) == ("index.html", 200)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("/a", "_redirects:1 should be: from to"),
        ("# x\n\n/a /b 301 more", "_redirects:3 should be: from to"),
        ("a /b", '_redirects:1 the path "a" should begin with "/"'),
        ("https://x.example/a /b", '_redirects:1 the path "https://x.example/a" should begin with "/"'),
        ("/a b", '_redirects:1 the target "b" should begin with'),
        ("/a //evil.example", '_redirects:1 the target "//evil.example" should begin with'),
        ("/a javascript:alert(1)", "_redirects:1 the target"),
        ("/a https://", "_redirects:1 the target"),
        ("/:x https://:x/", "_redirects:1 the target"),
        ("/a /b\\c", "_redirects:1 .* must be percent-encoded"),
        ("/a /b 999", "_redirects:1 the status 999 should be 200"),
        ("/a /b yes", '_redirects:1 "yes" should be a status'),
        ("/a /b 301 Country=de", "_redirects:1 conditions on a query, country"),
        ("/a id=:id /b/:id", "_redirects:1 conditions on a query, country"),
        ("/a https://x.example/ 200", "_redirects:1 a 200 to another host would be a proxy"),
        ("/a/*/b /c", '_redirects:1 "\\*" may stand once, in the last segment'),
        ("/a /:slug", '_redirects:1 the target uses ":slug", which "/a" does not set'),
        ("/:a/:a /x", "_redirects:1 a placeholder is used twice"),
        ("\n".join(f"/{n}/* /x" for n in range(1001)), "_redirects:1001 more than"),
    ],
)
def test_a_bad_redirect_is_refused_with_its_line(text: str, said: str) -> None:
    with pytest.raises(Invalid, match=said) as caught:
        parse_redirects(text)
    assert "Correct line" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("  X: y", "_headers:1 a header should stand under a path"),
        ("/*\n  nothing", '_headers:2 "nothing" should be "Name: value"'),
        ("/*\n  Bad Name: x", '_headers:2 "Bad Name" is not a header name'),
        ("/*\n  Content-Length: 3", "_headers:2 Content-Length is set by the server itself"),
        ("/*\n  transfer-encoding: x", "_headers:2 transfer-encoding is set by the server itself"),
        ("/*\n  X-Y: a\x01b", "_headers:2 the value of X-Y should be plain ASCII"),
        ("/*\n  X-Y: a\rSet-Cookie: b", "_headers:2 the value of X-Y should be plain ASCII"),
        ("x\n  X: y", '_headers:1 the path "x" should begin with "/"'),
    ],
)
def test_a_bad_header_is_refused_with_its_line(text: str, said: str) -> None:
    with pytest.raises(Invalid, match=said):
        parse_headers(text)


def test_comments_blank_lines_and_crlf_are_fine() -> None:
    rules = parse_redirects(
        "\ufeff# old\r\n\r\n/a   /b#part  302   # why\r\n/c\thttps://x.example:8080/y?z=1\r\n"
    )
    assert [(r.source.text, r.target, r.status) for r in rules] == [
        ("/a", "/b#part", 302),
        ("/c", "https://x.example:8080/y?z=1", 301),
    ]
    (block,) = parse_headers("# x\r\n/*\r\n  Link: </a>; rel=preload\r\n  Link: </b>\r\n\r\n/empty\r\n")
    assert block.headers == (("Link", "</a>; rel=preload"), ("Link", "</b>"))


def test_rules_survive_json() -> None:
    rules = Rules(
        parse_redirects("/a/* /b/:splat 302!\n/ü /x"),
        parse_headers("/*\n  A: b"),
        True,
        True,
        "gone.html",
        True,
    )
    assert Rules.from_json(json.loads(json.dumps(rules.as_json()))) == rules
    for bad in (
        {},
        {"redirects": 1},
        {**rules.as_json(), "redirects": [{}]},
        {**rules.as_json(), "headers": [[1]]},
    ):
        with pytest.raises(Invalid):
            Rules.from_json(bad)


@given(st.text(alphabet="/.:*%\\\r\n\0?#@aé\udcff ", max_size=40), st.sampled_from(["/*", "/:x/*", "/a*"]))
def test_no_path_makes_a_header_of_its_own_or_leaves_the_site(path: str, source: str) -> None:
    """Whatever is asked for, a Location is printable ASCII on this host, and a file has no `..`."""
    tree = "file" if path.endswith("a") else "folder"
    rules = [
        redirects(f"{source} {target}")
        for target in ("/:splat 302!", "/x:splat?q=:splat 302!", "/:splat 200!")
    ]
    for one in (*rules, Rules(clean_urls=True), Rules(spa=True)):
        answer = decide(one, "/" + path, lambda _: tree)  # type: ignore[arg-type,return-value]
        if isinstance(answer, Redirect):
            assert answer.to.isascii() and answer.to.isprintable() and " " not in answer.to
            assert answer.to.startswith("/") and not answer.to.startswith(("//", "/\\"))
        elif answer.path is not None:
            assert not {"..", "."} & set(answer.path.split("/")) and not answer.path.startswith("/")


@pytest.mark.parametrize(
    ("header", "host"),
    [("Blog.LocalHost:80", "blog.localhost"), ("a.b.", "a.b"), ("a:", "a"), ("", None), ("a..b", None), ("..", None),
     ("a:b", None), ("a/b", None), ("[::1]:80", None), ("a" * 254, None), ("ａ.example", None), ("a\n", None)],
)  # fmt: skip
def test_the_host_a_header_means(header: str, host: str | None) -> None:
    assert HostName.asked(header) == host
