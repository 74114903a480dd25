"""The sample file and the manual's tables, said by the schema itself.

`templates/gitdeploy.toml` is `sample()`, and `docs/configuration.md` holds `tables()`; a test compares them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import Field, fields
from typing import Any

from gitdeploy.domain.setting_schema import Environment, Process, Settings

EXAMPLES = {
    "processes": (
        'web = "gunicorn app:app"',
        'worker = { command = "python worker.py", count = 2, stop_timeout = "1m" }',
        'release = "python manage.py migrate"',
        'console = "python manage.py shell"',
    ),
    "environments": ("[environments.staging]", 'branch = "staging"'),
    "content.never": ('never = ["form_submissions", "analytics_*", "sessions"]',),
    "content.groups": ('blog = ["posts", "uploads/blog/**"]',),
    "content.mask": ('"users.email" = "email"', '"orders.phone" = "text"'),
    "content.replace": ('"shop.example.org" = { staging = "staging.example.org", preview = "{host}" }',),
    "cron": ('"0 2 * * *" = "python manage.py clearsessions"',),
}
_MEMBERS: dict[str, type[Any]] = {"processes": Process, "environments": Environment}


def sample() -> str:
    """The commented file. A line `#key = value` is a default, `#   …` an example, `# …` explains."""
    lines = [
        "# gitdeploy.toml: what gitdeploy should know about this site. All of it is optional.",
        "# A line such as `#spa = false` shows a default: take the # away and change it.",
    ]
    for section in fields(Settings):
        lines += ["", *_sample_section(section)]
    return "\n".join(lines) + "\n"


def tables() -> str:
    """One Markdown table a section."""
    return "\n".join("\n".join(_table(section)) for section in fields(Settings))


def _sample_section(section: Field[Any]) -> Iterator[str]:
    if section.name in EXAMPLES:
        yield f"# {section.metadata['help']}{_note(section)} Example:"
        yield f"[{section.name}]"
        yield from (f"#   {line}" for line in EXAMPLES[section.name])
        return
    default = getattr(Settings(), section.name)
    yield f"# {default.about}{_later(getattr(default, 'later', ''))}"
    yield f"[{section.name}]"
    for one in fields(default):
        yield f"# {one.metadata['help']}{_note(one)}"
        if getattr(default, one.name) is None:
            yield f"# Example: {EXAMPLES[f'{section.name}.{one.name}'][0]}"
        elif one.metadata["kind"] is not None:
            yield f"#{one.name} = {_default(default, one)}"
        else:
            yield f"# Example: [{section.name}.{one.name}]"
            yield from (f"#   {line}" for line in EXAMPLES[f"{section.name}.{one.name}"])


def _table(section: Field[Any]) -> Iterator[str]:
    default = getattr(Settings(), section.name)
    named = section.name in EXAMPLES
    yield f"### `[{section.name}{'.<name>' if section.name == 'environments' else ''}]`"
    yield ""
    about = section.metadata["help"] if named else default.about
    yield about + (_note(section) or _later(getattr(default, "later", "")))
    yield ""
    yield from ("```toml", *EXAMPLES.get(section.name, ()), "```", "") if named else ()
    holder = _MEMBERS[section.name]() if section.name in _MEMBERS else default
    if section.name != "cron":
        yield "| key | kind | default | |"
        yield "|---|---|---|---|"
        for one in fields(holder):
            required = section.name in _MEMBERS and one.name in ("command", "branch")
            kind = one.metadata["kind"]
            word = kind.word if kind else one.metadata["word"]
            given = kind and getattr(holder, one.name) is not None
            value = "required" if required else f"`{_default(holder, one)}`" if given else ""
            yield f"| `{one.name}` | {word} | {value} | {one.metadata['help']}{_note(one)} |"
        yield ""


def _default(holder: object, one: Field[Any]) -> str:
    return str(one.metadata["kind"].write(getattr(holder, one.name)))


def _note(one: Field[Any]) -> str:
    return _later(one.metadata.get("later", ""))


def _later(feature: str) -> str:
    return f" (Checked now, takes effect with {feature}.)" if feature else ""
