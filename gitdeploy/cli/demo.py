"""`gitdeploy demo`: the main job in front of the reader, each step really done and each claim checked."""

from __future__ import annotations

import contextlib
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import click

from gitdeploy.cli.demo_stage import Server, Shell
from gitdeploy.errors import Failed

SITE = "bakery"
PREVIEW = f"feature-checkout--{SITE}"
OLD, NEW = "Bread, and little else", "Bread, now to order"
"""The headings of the site before and after the reviewed change."""
ORDER = '<p><a class="button" href="/checkout.html">Order for tomorrow</a></p>'
CAKES = '<p>New: <a href="/cakes.html">cakes</a>, on Sundays.</p>'
"""What is added to its page: a link to one that comes with it, and a link that leads nowhere."""


@click.command()
@click.option("--once", is_flag=True, help="End after the story; 0 when every step did what it says.")
@click.option("--listen", default="127.0.0.1:8470", show_default=True, help="For git; another port if taken.")
@click.option("--edge", default="127.0.0.1:8480", show_default=True, help="For the sites; likewise.")
def demo(once: bool, listen: str, edge: str) -> None:
    """Push, preview, promote, break and roll back a sample site on a server of its own.

    Everything lies in one new folder, which is removed at the end.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    folder = Path(tempfile.mkdtemp(prefix="gitdeploy-demo-"))
    folder.chmod(0o755)  # where there is no bubblewrap, root's builds run as a user who has to get in here
    click.echo(f"Everything happens in {folder}; nothing else is touched.")
    try:
        with Server(folder / "home", listen, edge) as server:
            project = folder / SITE
            project.mkdir()
            Story(server, Shell(project, folder / "home")).tell()
            if not once:
                _go_on(server, project)
    except Failed as error:
        traces = f"Its traces are in {folder}; server.log is the server's own."
        raise Failed(f"The demo failed: {error.message}", error.hint or traces) from error
    except KeyboardInterrupt:
        shutil.rmtree(folder)
        sys.exit(130)
    shutil.rmtree(folder)


class Story:
    def __init__(self, server: Server, shell: Shell) -> None:
        self._server = server
        self._shell = shell

    def tell(self) -> None:
        acts: tuple[tuple[str, Callable[[], None]], ...] = (
            ("A server, a site, and a token for Ana", self._site),
            ("Her first push is live", self._first_push),
            ("A branch has a preview; production stays as it is", self._preview),
            ("Merged and pushed, the reviewed build itself is live: nothing is built again", self._promote),
            ("A change that does not build is refused; live and main stay as they are", self._bad_change),
            ("Rolled back by a push", self._rollback),
            ("The history, in git too", self._history),
        )
        for number, (title, act) in enumerate(acts, start=1):
            click.echo(f"\n{click.style(f'{number}. {title}', fg='cyan', bold=True)}")
            act()
        click.echo(f"\n{click.style('Every step did what it says.', fg='green', bold=True)}")

    def _site(self) -> None:
        server, shell = self._server, self._shell
        click.echo(f"   gitdeploy serve runs: git at http://{server.listen}/, sites at {server.address('*')}")
        shell.types(f"gitdeploy site create {SITE}")
        shell.types(f"gitdeploy access grant ana maintainer --site {SITE}")
        self._token = shell.types("gitdeploy token create ana").split()[0]
        self._holds("nothing is served yet", shell.facts(f"live {SITE}") is None)

    def _first_push(self) -> None:
        shell = self._shell
        shell.types("git init -q -b main")
        shell.edits("site")
        shell.types("git add -A")
        shell.types('git commit -q -m "Open the bakery"')
        shell.types(f"git remote add managed http://ana:{self._token}@{self._server.listen}/{SITE}.git")
        shell.types("git push managed main")
        page = self._server.visit(SITE)
        self._holds("the site answers", (page.status, page.title) == (200, OLD))

    def _preview(self) -> None:
        shell = self._shell
        shell.types("git checkout -q -b feature/checkout")
        shell.edits("checkout")
        shell.types(f"sed -i -e 's#{OLD}#{NEW}#' -e '$a {ORDER}' pages/index.html")
        shell.types("git add -A")
        shell.types('git commit -q -m "Take orders"')
        shell.types("git push managed feature/checkout")
        self._holds("the preview shows the change", self._server.visit(PREVIEW).title == NEW)
        self._holds("visitors do not see it yet", self._server.visit(SITE).title == OLD)

    def _promote(self) -> None:
        shell = self._shell
        reviewed = shell.facts(f"live {SITE} --env feature/checkout")
        builds = shell.facts(f"builds {SITE}")
        shell.types("git checkout main")
        shell.types("git merge --ff-only feature/checkout")
        shell.types("git push managed main")
        live = shell.facts(f"live {SITE}")
        digest = live["artifact"]
        self._holds("visitors see the change", self._server.visit(SITE).title == NEW)
        self._holds(f"live is the artifact that was reviewed, {digest[:12]}", digest == reviewed["artifact"])
        self._holds("no build was added", shell.facts(f"builds {SITE}") == builds)

    def _bad_change(self) -> None:
        shell = self._shell
        before = self._state()
        shell.types(f"sed -i '$a {CAKES}' pages/index.html")
        shell.types('git commit -q -a -m "Announce cakes"')
        said = shell.types("git push managed main", fails=True)
        self._holds("the push says why", "broken link: /cakes.html" in said and "[remote rejected]" in said)
        self._holds("main and live are as before", self._state() == before)
        self._holds("visitors noticed nothing", self._server.visit(SITE).title == NEW)
        shell.types("git reset -q --hard managed/main")

    def _rollback(self) -> None:
        shell = self._shell
        builds = shell.facts(f"builds {SITE}")
        started = time.monotonic()
        shell.types("git push managed HEAD:rollback/r1")
        seconds = time.monotonic() - started
        page = self._server.visit(SITE)
        self._holds(f"r1 is live again, after {seconds:.1f} s", page.title == OLD)
        self._holds("nothing was built for it", shell.facts(f"builds {SITE}") == builds)

    def _history(self) -> None:
        shell = self._shell
        shell.types(f"gitdeploy releases {SITE}")
        shell.types("git fetch -q managed refs/notes/deploys:refs/notes/deploys")
        shell.types('git log --notes=deploys --format="%h %s%n%N" main')
        shell.types("git ls-remote managed 'refs/live/*' 'refs/releases/*'")
        shell.types(f"gitdeploy verify {SITE}")
        told = [(one["release"], one["kind"], one["state"]) for one in shell.facts(f"releases {SITE}")]
        expected = [
            ("r4", "rollback", "live"),
            ("r3", "promote", "rolled_back"),
            ("r2", "deploy", "live"),
            ("r1", "deploy", "superseded"),
        ]
        self._holds("every release is on record, and live is proven byte by byte", told == expected)

    def _state(self) -> tuple[object, str]:
        """What production serves, and where main is."""
        return self._shell.facts(f"live {SITE}"), self._shell.asks("git ls-remote managed refs/heads/main")

    def _holds(self, claim: str, true: bool) -> None:
        if not true:
            raise Failed(f"it is not so that {claim}.")
        click.echo(f"   {click.style('✓', fg='green')} {claim}")


def _go_on(server: Server, project: Path) -> None:
    """Serve until Ctrl-C."""
    click.echo(f"\nIt goes on serving:\n   {server.address(SITE)}\n   {server.address(PREVIEW)}")
    click.echo(f"\nTry it in another terminal:\n   cd {project}\n   git push managed HEAD:rollback/r3")
    click.echo(f"   GITDEPLOY_HOME={server.home} {Path(sys.argv[0]).absolute()} releases {SITE}")
    click.echo("\nCtrl-C ends it and removes everything.")
    with contextlib.suppress(KeyboardInterrupt):
        while server.runs:
            time.sleep(0.5)
        raise Failed("the server ended by itself.")


COMMANDS = (demo,)
