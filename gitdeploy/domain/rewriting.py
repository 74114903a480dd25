"""Replace addresses in text that may hold more than text: PHP's serialised values and JSON, in each other too.

PHP writes the length of every string before it (`s:5:"hello";`), so a plain replacement would make all of it
unreadable. What looks serialised and is not well-formed is left as it is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping

_DEEPEST = 40  # values within values; what goes deeper is left as it is
_SERIALISED = re.compile(rb'(?:[aO]:\d+:["{]|s:\d+:"|C:\d+:")')
_TOKEN = re.compile(
    rb'(?P<open>a:\d+:\{|O:\d+:"[^"]*":\d+:\{)|(?P<close>\})|(?P<string>s:(?P<length>\d+):")|'
    rb'C:\d+:"[^"]*":(?P<custom>\d+):\{|E:\d+:"[^"]*";|[bi]:-?\d+;|d:[^;{}"]+;|[rR]:\d+;|N;'
)
_JSON_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')


def replacer(replace: Mapping[str, str]) -> Callable[[str], str]:
    """All are looked for at once, the longest first, as whole names: `shop.test` is not found in `myshop.test`, in
    `www.shop.test` or in `shop.test.org`.
    """
    if not replace:
        return lambda text: text
    words = sorted(replace, key=lambda word: (-len(word), word))
    wanted = re.compile("|".join(_whole(word) for word in words))

    def rewrite(text: str, depth: int = 0) -> str:
        if wanted.search(text) is None and "\\" not in text:
            return text
        if depth > _DEEPEST:
            return text
        if _SERIALISED.match(text.encode("utf-8", "surrogateescape")):
            return _serialised(text, lambda inner: rewrite(inner, depth + 1))
        if text[:1] in "{[" and _is_json(text):
            return _in_json(text, lambda inner: rewrite(inner, depth + 1))
        return wanted.sub(lambda found: replace[found[0]], text)

    return rewrite


# Private


def _whole(word: str) -> str:
    before = r"(?<![\w.-])" if word[:1].isalnum() else ""
    after = r"(?![\w-]|\.\w)" if word[-1:].isalnum() else ""
    return f"{before}{re.escape(word)}{after}"


def _serialised(text: str, rewrite: Callable[[str], str]) -> str:
    """The same value with its strings rewritten and their lengths, in bytes, as they are then."""
    data = text.encode("utf-8", "surrogateescape")
    parts: list[bytes] = []
    at = depth = 0
    while at < len(data):
        found = _TOKEN.match(data, at)
        if found is None or (at and not depth):
            return text
        end = found.end()
        if found["string"]:
            content, end = data[end : end + int(found["length"])], end + int(found["length"])
            if data[end : end + 2] != b'";':
                return text
            end += 2
            after = rewrite(content.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")
            parts.append(b's:%d:"%s";' % (len(after), after))
        else:
            if found["custom"]:
                end += int(found["custom"]) + 1  # only its own class can read what is in it
            depth += bool(found["open"]) - bool(found["close"])
            parts.append(data[at:end])
        if depth < 0 or end > len(data):
            return text
        at = end
    return b"".join(parts).decode("utf-8", "surrogateescape") if not depth else text


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _in_json(text: str, rewrite: Callable[[str], str]) -> str:
    """Only strings in which something was found are written anew, escaped as they were."""

    def one(found: re.Match[str]) -> str:
        was = found[0]
        before = json.loads(was, strict=False)
        after = rewrite(before)
        if after == before:
            return was
        written = json.dumps(after, ensure_ascii=was.isascii() and "\\u" in was)
        return written.replace("/", "\\/") if "\\/" in was else written

    return _JSON_STRING.sub(one, text)
