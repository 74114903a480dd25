"""Lines of a log as HTML: colours become classes, all else that a terminal would act on goes, and text stays text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from markupsafe import Markup, escape

_COLOURS = ("black", "red", "green", "yellow", "blue", "magenta", "cyan", "white")
# ECMA-48: colours and weight (SGR), then what is dropped: other control sequences, control strings, single controls.
_SGR = re.compile(r"\x1b\[([0-9;:]*)m")
_OTHER = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?|[ -/]*[0-~])?"
    r"|[\x00-\x08\x0b-\x1a\x1c-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]"
)
_OURS = (("=====> ", "done"), ("-----> ", "step"), (" !     ", "problem"))


@dataclass(frozen=True)
class Style:
    colour: str = ""
    bold: bool = False
    dim: bool = False

    @property
    def classes(self) -> str:
        names = (f"ansi-{self.colour}" if self.colour else "", "ansi-bold" if self.bold else "",
                 "ansi-dim" if self.dim else "")  # fmt: skip
        return " ".join(one for one in names if one)


def lines(text: str) -> list[Markup]:
    """Each line of `text`; a colour goes on until it is ended, as on a terminal."""
    found, style = [], Style()
    for line in text.split("\n"):
        pieces = []
        for plain, then in _pieces(line, style):
            pieces.append(_span(plain, style))
            style = then
        kind = next((name for begin, name in _OURS if line.startswith(begin)), "")
        whole = Markup("").join(pieces)
        found.append(Markup('<span class="line-{}">{}</span>').format(kind, whole) if kind else whole)
    if found and not found[-1]:
        found.pop()
    return found


def _pieces(line: str, style: Style) -> Iterator[tuple[str, Style]]:
    """Text, and the style after it."""
    at = 0
    for match in _SGR.finditer(line):
        after = _after(style, match[1])
        yield line[at : match.start()], after
        style, at = after, match.end()
    yield line[at:], style


def _span(text: str, style: Style) -> Markup:
    plain = escape(_OTHER.sub("", text))
    return (
        Markup('<span class="{}">{}</span>').format(style.classes, plain)
        if plain and style.classes
        else plain
    )


def _after(style: Style, codes: str) -> Style:
    numbers = [int(one) if one else 0 for one in re.split("[;:]", codes[:60])]
    while numbers:
        code = numbers.pop(0)
        if code == 0:
            style = Style()
        elif code in (1, 22):
            style = replace(style, bold=code == 1, dim=style.dim and code == 1)
        elif code == 2:
            style = replace(style, dim=True)
        elif 30 <= code <= 37 or 90 <= code <= 97:
            style = replace(style, colour=_COLOURS[code % 10])
        elif code == 39:
            style = replace(style, colour="")
        elif code in (38, 48):  # 256 colours, or any: it stays as it was
            del numbers[: 4 if numbers[:1] == [2] else 2]
    return style
