"""Long lists come in pages: `limit`, and `before` or `after` for what was seen last. `Link` leads to the next one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, TypeVar
from urllib.parse import quote

from fastapi import Depends, Query, Request, Response

Row = TypeVar("Row")
MOST = 1000
"""How many there are on a page."""
Number = Annotated[int, Query(ge=0, le=1 << 53)]


class Page:
    """One page of a list. A verb is asked for `enough`, which is one more than is shown."""

    def __init__(self, request: Request, response: Response, limit: int = 100) -> None:
        self._request = request
        self._response = response
        self._limit = max(1, min(limit, MOST))

    @property
    def enough(self) -> int:
        return self._limit + 1

    def of(self, rows: list[Row], last: Callable[[Row], object], by: str = "before") -> list[Row]:
        """What is shown of `rows`. When there are more, `Link` names the next page, which begins by `last` of the last
        one shown.
        """
        shown = rows[: self._limit]
        if len(rows) > self._limit:
            url = self._request.url.include_query_params(**{by: str(last(shown[-1]))})
            self._response.headers["Link"] = f'<{quote(url.path)}?{url.query}>; rel="next"'
        return shown


Paged = Annotated[Page, Depends(Page)]
