"""Routes that are built when somebody first asks for them: building all of them, with what they take and answer, would
be half of what a server does until it is ready.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from fastapi import APIRouter
from fastapi.routing import APIRoute
from starlette.routing import compile_path, get_name


class Route(APIRoute):
    """What is needed to find it is there at once. Everything else is made by `__init__` of the class above when one of
    its attributes is asked for, and a mistake in it is raised then; asking for the schema builds all routes.
    """

    def __init__(
        self,
        path: str,
        endpoint: Callable[..., Any],
        *,
        methods: Iterable[str] | None = None,
        name: str | None = None,
        **said: Any,
    ) -> None:
        self.path, self.endpoint = path, endpoint
        self.name = name or get_name(endpoint)
        self.methods = {one.upper() for one in methods or ("GET",)}
        self.path_regex, self.path_format, self.param_convertors = compile_path(path)
        self._said: dict[str, Any] | None = said

    def __getattr__(self, name: str) -> Any:
        said = self.__dict__.get("_said")
        if said is None:
            raise AttributeError(name)
        self._said = None
        super().__init__(self.path, self.endpoint, methods=self.methods, name=self.name, **self.say(said))
        return getattr(self, name)

    def say(self, said: dict[str, Any]) -> dict[str, Any]:
        """What a kind of routes adds to what was said of one."""
        return said


def unlisted() -> APIRouter:
    """A router of what the schema of the API does not tell of."""
    return APIRouter(include_in_schema=False, route_class=Route)
