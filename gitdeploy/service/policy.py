"""What a site's branches mean. The file that production last went live with decides: what somebody merely pushes
cannot change where it goes. Before the first release the pushed commit itself is asked.
"""

from __future__ import annotations

from gitdeploy.domain import settings as app_file
from gitdeploy.domain.names import PRODUCTION
from gitdeploy.domain.refs import Branches, Update
from gitdeploy.domain.settings import Settings
from gitdeploy.domain.site import Site
from gitdeploy.git.repository import Repository


def of_site(site: Site, repository: Repository, updates: tuple[Update, ...] = ()) -> Settings:
    """Raises Invalid when the file that would decide cannot be read."""
    if site.policy is not None:
        return app_file.parse(site.policy)
    for update in updates:
        if update.ref.startswith("refs/heads/") and not update.deletes:
            found = of_commit(repository, update.new)
            if f"refs/heads/{found.production.branch}" == update.ref:
                return found
    return Settings()


def of_commit(repository: Repository, commit: str) -> Settings:
    """A commit's settings; the defaults when it has no file. Raises Invalid with path and line."""
    return app_file.parse(text(repository, commit))


def text(repository: Repository, commit: str) -> str:
    return (repository.file(commit, app_file.FILE) or b"").decode("utf-8", "replace")


def branches(settings: Settings) -> Branches:
    named = {PRODUCTION: settings.production.branch}
    named |= {name: environment.branch for name, environment in settings.environments.items()}
    gated = {name for name, environment in settings.environments.items() if environment.gate}
    return Branches(named, frozenset(gated | ({PRODUCTION} if settings.production.gate else set())))
