from __future__ import annotations

from support import Project


def with_preview(project: Project) -> Project:
    """One release of production, and the preview of feature/x."""
    project.commit("one", index_html="one")
    assert project.push("main").ok
    project.git("checkout", "-q", "-b", "feature/x")
    project.commit("two", index_html="two")
    assert project.push("feature/x").ok
    return project
