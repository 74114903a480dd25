from __future__ import annotations

import pytest

from gitdeploy.domain import settings
from gitdeploy.domain.globs import matches
from gitdeploy.domain.settings import Environment, Process, Settings, parse
from gitdeploy.domain.toml_lines import key_lines
from gitdeploy.errors import Invalid

FULL = """
[build]
command = "make site"
output = "./dist/"
root = "web"
watch = ["web/**"]
cache = ["node_modules", ".cache/a", "node_modules"]
env = ["API_URL"]
timeout = "1h"
memory = "512MB"
network = false

[processes]
web = "gunicorn app:app"
worker = { command = "python w.py", count = 2, stop_timeout = "1m" }

[health]
path = "/healthz"
expect = [204, 200]
contains = "ok"
timeout = "5s"
interval = "2s"

[production]
branch = "release/live"
gate = false
watch = "10m"
keep = 5
keep_warm = 2
hold_after_rollback = true
rehearse = ["migration", "cutover"]
approvals = 1
freeze = ["Fri 16:00 - Mon 08:00", "2026-12-20 - 2027-01-02"]

[preview]
ttl = "0s"
password = true
branches = ["feature/*", "fix/**"]
data = "snap_01J"

[environments.staging]
branch = "staging"
gate = true

[data]
databases = ["sqlite:data/app.db", "postgres", "mariadb"]
files = ["uploads"]

[content]
never = ["analytics_*"]
replace_columns = ["posts.body"]
mask = { "users.email" = "email" }
replace = { "shop.test" = { staging = "stage.test" }, "cdn.test" = "cdn.stage.test" }
groups.blog = ["posts", "uploads/blog/**"]

[static]
spa = true
clean_urls = true
not_found = "errors/404.html"

[cron]
"*/5 0-6,12 * * 1-5" = "python manage.py clearsessions"
"@daily" = "true"
"""


def refused(text: str | bytes) -> Invalid:
    with pytest.raises(Invalid) as error:
        parse(text)
    return error.value


def test_no_file_and_an_empty_file_are_the_defaults() -> None:
    assert parse("") == parse("\ufeff# nothing\n") == Settings()
    assert Settings().build.timeout == 600
    assert Settings().health.expect == (200,)
    assert Settings().production.gate and not Environment().gate


def test_every_section_and_key_is_read() -> None:
    read = parse(FULL.encode())
    assert read.build == settings.Build(
        "make site",
        "dist",
        "web",
        ("web/**",),
        ("node_modules", ".cache/a"),
        ("API_URL",),
        3600,
        512 << 20,
        False,
    )
    assert read.processes == {"web": Process("gunicorn app:app"), "worker": Process("python w.py", 2, 60)}
    assert read.health == settings.Health("/healthz", (200, 204), "ok", 5, 2)
    assert read.production == settings.Production(
        "release/live",
        False,
        600,
        5,
        2,
        True,
        ("migration", "cutover"),
        1,
        ("Fri 16:00 - Mon 08:00", "2026-12-20 - 2027-01-02"),
    )
    assert read.preview == settings.Preview(0, True, ("feature/*", "fix/**"), "snap_01J")
    assert read.environments == {"staging": Environment("staging", True)}
    assert read.data == settings.Data(("sqlite:data/app.db", "postgres", "mariadb"), ("uploads",))
    assert read.content == settings.Content(
        ("analytics_*",), ("posts.body",), {"blog": ("posts", "uploads/blog/**")}, {"users.email": "email"},
        {"shop.test": {"staging": "stage.test"}, "cdn.test": {"*": "cdn.stage.test"}},
    )  # fmt: skip
    assert read.static == settings.Static(True, True, "errors/404.html")
    assert read.cron == {"*/5 0-6,12 * * 1-5": "python manage.py clearsessions", "@daily": "true"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "\n\n\n\n\n[health]\ntimeout = 30",
            '7 health/timeout: should be a duration such as "30s", longer than 0.',
        ),
        ('[build]\ncomand = "x"', "2 build/comand: is not a setting; did you mean command?"),
        ("[biuld]", "1 biuld: is not a section; did you mean [build]?"),
        ("\ncommand = 'x'", "2 command: is not a section; it belongs to [build]."),
        ("[build]\nspa = true", "2 build/spa: is not a setting; it belongs to [static]."),
        ("build = 1", "1 build: should be a section: [build]."),
        ("[[build]]", "1 build: should be a section: [build]."),
        ("[build]\nnetwork = 1", "2 build/network: should be true or false."),
        ("[build]\nmemory = '1KB'", '2 build/memory: should be a size such as "512MB", at least 1MB.'),
        (
            "[build]\noutput = '../up'",
            '2 build/output: should be a folder inside the repository such as "dist".',
        ),
        (
            "[build]\ncache = ['.']",
            '2 build/cache: should be a list of folders inside the repository such as ["node_modules"].',
        ),
        (
            "[build]\nenv = ['A B']",
            '2 build/env: should be a list of variable names such as ["API_URL"].',
        ),
        (
            "[build]\noutput = 'a'\ncache = ['a']",
            "3 build/cache: should not name the output folder: old files would stay in it.",
        ),
        ("[production]\nkeep = true", "2 production/keep: should be a whole number from 1 to 1000."),
        ("[production]\nbranch = '-x'", '2 production/branch: should be a branch name such as "main".'),
        ("[production]\nbranch = 'a..b'", '2 production/branch: should be a branch name such as "main".'),
        (
            "[production]\nfreeze = ['Friday']",
            '2 production/freeze: should be a list such as ["Fri 16:00 - Mon 08:00", '
            '"2026-12-20 - 2027-01-02"].',
        ),
        (
            "[health]\ncommand = 'true'\npath = '/x'",
            "2 health/command: should stand alone: a command takes the place of path, expect and contains.",
        ),
        (
            "[health]\nexpect = 99",
            "2 health/expect: should be an HTTP status such as 200, or a list of them.",
        ),
        (
            "[processes]\nweb = ''",
            '2 processes/web: should be a command, or a table such as { command = "…", count = 2 }.',
        ),
        ("[processes.web]\ncount = 2", "1 processes/web: should have a command."),
        (
            "[processes]\n'W b' = 'x'",
            "2 processes/W b: should have a name of lower-case letters, digits and dashes.",
        ),
        (
            "[environments]\nstaging = 'x'",
            "2 environments/staging: should be a section: [environments.staging].",
        ),
        (
            "[environments.staging]",
            '1 environments/staging: should say its branch, such as branch = "staging".',
        ),
        (
            "[environments.preview]\nbranch = 'p'",
            "1 environments/preview: should have another name: its settings belong to [preview].",
        ),
        (
            "[environments.a]\nbranch = 'main'",
            '2 environments/a/branch: should be another branch: "main" belongs to production.',
        ),
        (
            "[environments.a]\nbranch = 'x'\n[environments.b]\nbranch = 'x'",
            '4 environments/b/branch: should be another branch: "x" belongs to a.',
        ),
        ("[preview]\ndata = 'a b'", '2 preview/data: should be "none", "clone" or the name of a snapshot.'),
        (
            "[data]\ndatabases = ['mysql']",
            '2 data/databases: should be a list of "sqlite:<path>", "postgres" or "mariadb".',
        ),
        ("[content]\ngroups = 1", "2 content/groups: should be a section: [content.groups]."),
        ("[content]\ngroups.a = 1", '2 content/groups/a: should be a list of patterns such as ["src/**"].'),
        (
            "[content.mask]\n'a.b' = 'x'",
            "2 content/mask/a.b: should be a mask: email, name, null, text, hash.",
        ),
        (
            "[content.replace]\na = 1",
            "2 content/replace/a: should be a text, or a table such as "
            '{ staging = "staging.example.org", preview = "{host}" }.',
        ),
        (
            "[content.replace]\na = 'c'\nb = { \"*\" = 'c' }",
            "3 content/replace/b: should not become 'c', as another does.",
        ),
        (
            "[cron]\n'0 25 * * *' = 'x'",
            '2 cron/0 25 * * *: should be a schedule such as "0 2 * * *" or @daily.',
        ),
        ("[cron]\n'@daily' = 1", "2 cron/@daily: should be a command."),
        ("[static]\nnot_found = ''", '2 static/not_found: should be a file of the site such as "404.html".'),
    ],
)
def test_what_is_wrong_is_said_with_path_and_line(text: str, said: str) -> None:
    assert refused(text).message == f"gitdeploy.toml:{said}"


def test_everything_wrong_is_told_at_once_in_the_order_of_the_file() -> None:
    error = refused("[static]\nspa = 1\n[build]\ntimeout = 'x'\n")
    assert error.message == "gitdeploy.toml:2 static/spa: should be true or false."
    assert error.hint.startswith("Also: gitdeploy.toml:4 build/timeout:")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("\n[build", 2),
        ("a = 1\na = 2", 2),
        ("x = '''\n\n", 1),
        ('[build]\n\nx = "a\nb"', 3),
        (b"\n\n# \xff", 3),
        ("x = " + "[" * 5000, 1),
        ("x = " + "9" * 5000, 1),
        ("x" * 300_000, 1),
    ],
)
def test_what_is_not_toml_is_said_with_its_line(text: str | bytes, line: int) -> None:
    error = refused(text)
    assert error.message.startswith(f"gitdeploy.toml:{line} should ")
    assert error.message.count("\n") == 0
    assert error.hint


def test_the_policy_says_what_a_branch_means() -> None:
    policy = parse(FULL).policy
    assert policy.environment_of("release/live") == "production"
    assert policy.environment_of("staging") == "staging"
    assert policy.environment_of("main") is None
    assert policy.has_preview("feature/a") and policy.has_preview("fix/a/b")
    assert not policy.has_preview("feature/a/b") and not policy.has_preview("staging")
    assert Settings().policy.has_preview("any/branch/at/all")


def test_the_record_says_every_value() -> None:
    record = parse(FULL).as_json()
    assert set(record) == {"cron", "data", "health", "processes", "runtime", "static"}
    assert record["processes"]["worker"] == {
        "command": "python w.py",
        "count": 2,
        "stop_timeout": 60,
        "memory": 0,
    }
    assert record["health"]["expect"] == [200, 204]
    assert Settings().as_json()["static"] == {"spa": False, "clean_urls": False, "not_found": "404.html"}


@pytest.mark.parametrize(
    ("pattern", "path", "does"),
    [
        ("*", "a", True), ("*", "a/b", False), ("**", "a/b", True), ("src/**", "src/a/b", True),
        ("src/**", "srcs/a", False), ("**/*.md", "a.md", True), ("**/*.md", "x/y/a.md", True),
        ("a?c", "abc", True), ("a?c", "a/c", False), ("[a]", "a", False), ("[a]", "[a]", True),
    ],
)  # fmt: skip
def test_patterns(pattern: str, path: str, does: bool) -> None:
    assert matches(pattern, path) is does


def test_lines_are_found_however_a_key_is_written() -> None:
    text = '''# [not.a.table]
a.b = """
x = 1
""" # y = 2
"q.r" . 's t' = [
  "]", # ]
  {in = '}', "\\u00e9" = 2},
]
[ t . "u.v" ]
w = { x = { y = """
""", z = 1 } }\r
when = 1979-05-27 07:32:00
[[list]]
k = 'a'
[[list]]
k = 2
'''
    lines = key_lines(text)
    assert lines["a", "b"] == lines["a",] == 2
    assert ("x",) not in lines and ("y",) not in lines and ("not",) not in lines
    assert lines["q.r", "s t"] == 5
    assert lines["q.r", "s t", "in"] == lines["q.r", "s t", "é"] == 7
    assert lines["t", "u.v"] == 9
    assert lines["t", "u.v", "w", "x", "y"] == 10
    assert lines["t", "u.v", "w", "x", "z"] == 11
    assert lines["t", "u.v", "when"] == 12
    assert lines["list", "k"] == 14
