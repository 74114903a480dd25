from __future__ import annotations

import pytest

from gitdeploy.domain import procfile
from gitdeploy.errors import Invalid


def test_processes_are_read_in_their_order() -> None:
    text = (
        "\ufeff# what runs\r\nweb: gunicorn app:app --bind :$PORT\r\n\n  worker:python w.py\nrelease: a: b\n"
    )
    assert list(procfile.parse(text.encode()).items()) == [
        ("web", "gunicorn app:app --bind :$PORT"),
        ("worker", "python w.py"),
        ("release", "a: b"),
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("web gunicorn", "Procfile:1 should be a process and its command."),
        ("\n\nweb:", "Procfile:3 should be a process and its command."),
        ("web: a\nweb: b", "Procfile:2 web: should be named once."),
        ("w b: a", "Procfile:1 should be a process and its command."),
        (b"web: \xff", "Procfile:1 web: should be UTF-8 text."),
    ],
)
def test_what_is_wrong_is_said_with_its_line(text: str | bytes, said: str) -> None:
    with pytest.raises(Invalid) as refused:
        procfile.parse(text)
    assert refused.value.message == said
    assert refused.value.hint
