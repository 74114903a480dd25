"""At which line of a TOML text a key stands: tomllib reads values but keeps no positions.

`key_lines` is only given text that tomllib has read, so it needs to find its way and not to judge.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator

Path = tuple[str, ...]

_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_KEY = re.compile(r"""(?:[A-Za-z0-9_-]+|"(?:[^"\\\n]|\\.)*"|'[^'\n]*')""")
_DOTTED = re.compile(rf"{_KEY.pattern}(?:[ \t]*\.[ \t]*{_KEY.pattern})*")
_STRING = re.compile(
    r'"""(?:[^"\\]|\\.|"(?!""))*"{3,5}' r"|'''(?:[^']|'(?!''))*'{3,5}" r'|"(?:[^"\\\n]|\\.)*"' r"|'[^'\n]*'",
    re.DOTALL,
)
_PLAIN = re.compile(r"[^\s,\]}#]+(?: [0-9][^\s,\]}#]*)?")  # a date and its time may be a space apart


def key_lines(text: str) -> dict[Path, int]:
    """Every table and key of a valid TOML text with its line, from 1; of a repeated table the first."""
    lines: dict[Path, int] = {}
    for path, position in _Scanner(text).statements():
        for depth in range(1, len(path) + 1):
            lines.setdefault(path[:depth], text.count("\n", 0, position) + 1)
    return lines


class _Scanner:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def statements(self) -> Iterator[tuple[Path, int]]:
        table: Path = ()
        while not self._skip_blank():
            start = self.at
            if self._peek() == "[":
                brackets = 2 if self.text.startswith("[[", self.at) else 1
                self.at += brackets
                self._skip_blank()
                table = self._dotted()
                yield table, start
                self._skip_blank()
                self.at += brackets
            else:
                yield from self._pair(table)

    def _pair(self, table: Path) -> Iterator[tuple[Path, int]]:
        start = self.at
        path = table + self._dotted()
        yield path, start
        self._skip_blank()
        self.at += 1  # the equals sign
        yield from self._value(path)

    def _value(self, path: Path) -> Iterator[tuple[Path, int]]:
        self._skip_blank()
        opener = self._peek()
        if opener == "{":
            yield from self._items("}", path)
        elif opener == "[":
            yield from self._items("]", path)
        else:
            self._take(_STRING if opener in "\"'" else _PLAIN)

    def _items(self, closer: str, path: Path) -> Iterator[tuple[Path, int]]:
        self.at += 1
        while not self._skip_blank() and self._peek() != closer:
            if self._peek() == ",":
                self.at += 1
            elif closer == "}":
                yield from self._pair(path)
            else:
                yield from self._value(path)
        self.at += 1

    def _dotted(self) -> Path:
        """The key at this place. tomllib itself undoes the quotes and escapes of each part."""
        return _names(tomllib.loads(f"{self._take(_DOTTED)} = 0"))

    def _take(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self.text, self.at)
        if match is None:
            raise ValueError(f"not TOML at character {self.at}")
        self.at = match.end()
        return match[0]

    def _skip_blank(self) -> bool:
        """Go to the next word; true at the end of the text."""
        match = _BLANK.match(self.text, self.at)
        self.at = match.end() if match else self.at
        return self.at >= len(self.text)

    def _peek(self) -> str:
        return self.text[self.at]


def _names(nested: object) -> Path:
    names: list[str] = []
    while isinstance(nested, dict):
        name, nested = next(iter(nested.items()))
        names.append(name)
    return tuple(names)
