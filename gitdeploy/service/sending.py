"""What leaves this machine on behalf of a webhook: a POST to an address that somebody gave, or a mail.

A name can lead anywhere, and elsewhere a moment later. So it is looked up here, the address is judged, and that very
address is connected to; redirects are not followed, and no proxy of the environment is asked.
"""

from __future__ import annotations

import ipaddress
import logging
import smtplib
import socket
import ssl
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from email.message import EmailMessage
from functools import cache

import httpx

import gitdeploy
from gitdeploy.domain.notice import Request
from gitdeploy.errors import Failed, Refused
from gitdeploy.service.server import MailSettings

logging.getLogger("httpx").setLevel(
    logging.WARNING
)  # it writes down whole addresses, with what is secret in them
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_PATIENCE = httpx.Timeout(10.0, connect=5.0)
_AT_MOST = 20.0
"""Seconds until an answer that drips in has to be whole."""
_READ = 2000
"""Bytes of an answer that are kept."""
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


@dataclass(frozen=True)
class Outcome:
    """`ok`: taken. `final`: no later attempt would go otherwise. `status` is None when there was no answer."""

    ok: bool
    status: int | None = None
    answer: str = ""
    error: str = ""
    final: bool = False


def post(request: Request, allowed: Iterable[str]) -> Outcome:
    """Send it once, to a public address or into one of the networks `allowed`."""
    headers = {"User-Agent": f"gitdeploy/{gitdeploy.__version__}", **request.headers}
    door = _Judged(tuple(allowed))
    began = time.monotonic()
    try:
        with (
            httpx.Client(transport=door, timeout=_PATIENCE, trust_env=False) as client,
            client.stream("POST", request.url, content=request.body, headers=headers) as answer,
        ):
            text = _beginning(answer, began + _AT_MOST)
    except (Refused, Failed) as error:
        return Outcome(False, error=error.message)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return Outcome(False, error=_plainly(error))
    if answer.is_success:
        return Outcome(True, answer.status_code, text)
    said = f"it answered {answer.status_code}"
    if answer.has_redirect_location:
        said += ", a redirect, which is not followed"
    return Outcome(False, answer.status_code, text, said, answer.status_code in request.final)


def mail(message: EmailMessage, to: MailSettings) -> Outcome:
    """Hand it to the mail server of the settings, once."""
    if not to.host:
        return Outcome(False, error="no mail server is set: [mail] in server.toml")
    try:
        with (
            smtplib.SMTP_SSL(to.host, to.port, timeout=10, context=_trusted())
            if to.tls == "tls"
            else smtplib.SMTP(to.host, to.port, timeout=10)
        ) as server:
            if to.tls == "starttls":
                server.starttls(context=_trusted())
            if to.user:
                server.login(to.user, to.password)
            server.send_message(message)
    except smtplib.SMTPRecipientsRefused as error:
        code, text = next(iter(error.recipients.values()))
        return _refused(code, text)
    except smtplib.SMTPResponseException as error:
        return _refused(error.smtp_code, error.smtp_error)
    except (OSError, smtplib.SMTPException) as error:
        return Outcome(False, error=f"{to.host} takes no mail: {error}")
    return Outcome(True, 250)


def public(host: str, port: int, allowed: Iterable[str]) -> list[str]:
    """The addresses of a name that may be connected to. Raises Failed when it has none, Refused when none may."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise Failed(f"{host} has no address: {error}.") from error
    addresses = list(dict.fromkeys(str(one[4][0]) for one in found))
    networks = [ipaddress.ip_network(one) for one in allowed]
    good = [one for one in addresses if _may(one, networks)]
    if not good:
        raise Refused(
            f"{host} is {addresses[0]}, which is no public address.",
            f'If it is meant: [webhooks] allow_private = ["{addresses[0].partition("%")[0]}"] in server.toml.',
        )
    return good


# Private


@cache
def _trusted() -> ssl.SSLContext:
    """The authorities that this machine trusts."""
    return ssl.create_default_context()


class _Judged(httpx.BaseTransport):
    def __init__(self, allowed: tuple[str, ...]) -> None:
        self._allowed = allowed
        self._inner = httpx.HTTPTransport(verify=_trusted(), trust_env=False)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url
        host = url.raw_host.decode().strip("[]")
        port = url.port or (443 if url.scheme == "https" else 80)
        failed: httpx.HTTPError | None = None
        for address in public(host, port, self._allowed):
            request.url = url.copy_with(host=address)
            request.extensions = {**request.extensions, "sni_hostname": host}
            try:
                return self._inner.handle_request(request)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                failed = error
        assert failed is not None
        raise failed

    def close(self) -> None:
        self._inner.close()


def _may(text: str, allowed: list[ipaddress.IPv4Network | ipaddress.IPv6Network]) -> bool:
    address: Address = ipaddress.ip_address(text.partition("%")[0])
    if any(address in one for one in allowed):
        return True
    return all(one.is_global and not one.is_multicast and not one.is_reserved for one in _meant(address))


def _meant(address: Address) -> Iterator[Address]:
    """The address, or the older one that is written inside of it."""
    if isinstance(address, ipaddress.IPv4Address):
        yield address
    elif inner := address.ipv4_mapped or address.sixtofour:
        yield inner
    elif address in _NAT64:
        yield ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    elif address.teredo:
        yield from address.teredo
    else:
        yield address


def _beginning(answer: httpx.Response, until: float) -> str:
    read = b""
    for piece in answer.iter_raw():
        read += piece
        if len(read) >= _READ or time.monotonic() > until:
            break
    return read[:_READ].decode("utf-8", "replace")


def _plainly(error: Exception) -> str:
    if isinstance(error, httpx.ConnectTimeout):
        return "it cannot be reached in time"
    if isinstance(error, httpx.TimeoutException):
        return "it did not answer in time"
    return (
        f"it cannot be reached: {error}"
        if isinstance(error, httpx.ConnectError)
        else str(error) or repr(error)
    )


def _refused(code: int, text: bytes | str) -> Outcome:
    said = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    return Outcome(False, code, said[:_READ], f"the mail server answered {code} {said[:200]}", code >= 500)
