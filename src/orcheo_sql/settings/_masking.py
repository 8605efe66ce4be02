"""Connection strings and other values as they may be shown to people."""

from __future__ import annotations

import re

MASK = "***"

# Connection parameters that carry no secret. Whatever is not listed makes the whole text
# unreadable: a password with an unescaped character looks just like an unknown parameter.
_HARMLESS = frozenset(
    """
    application_name channel_binding client_encoding connect_timeout dbname
    fallback_application_name gssdelegation gssencmode gsslib host hostaddr keepalives
    keepalives_count keepalives_idle keepalives_interval krbsrvname load_balance_hosts
    max_protocol_version min_protocol_version options passfile port replication require_auth
    requirepeer service ssl_max_protocol_version ssl_min_protocol_version sslcert sslcertmode
    sslcompression sslcrl sslcrldir sslkey sslmode sslnegotiation sslrootcert sslsni
    target_session_attrs tcp_user_timeout user
    """.split()  # noqa: SIM905 - a list would take a line for each
)
_SECRET = frozenset(
    {"oauth_client_secret", "password", "scram_client_key", "scram_server_key", "sslpassword"}
)

_URL = re.compile(r"\s*(?P<scheme>[A-Za-z][A-Za-z0-9+.\-]*)://(?P<rest>.*)", re.DOTALL)
_HOST = re.compile(r"(\[[^\]]*\]|[^:\[\]]*)(:\d*)?")
_PAIR = re.compile(
    r"\s*(?P<key>[a-z_]+)\s*=\s*(?P<value>'(?:[^'\\]|\\.)*'|(?:[^\s'\\]|\\.)*)(?=\s|$)", re.DOTALL
)
_SUSPECT = re.compile(r"://|passw(or)?d\s*=", re.IGNORECASE)


def mask_dsn(dsn: str) -> str:
    """Return a connection string without its secrets; one that can't be read becomes ``***``.

    Both forms are understood, ``postgresql://…`` and ``key=value …``. Never raises.
    """
    if not isinstance(dsn, str):
        return MASK
    url = _URL.fullmatch(dsn)
    if url is None:
        return _masked_pairs(dsn) or MASK
    return f"{url['scheme']}://{_masked_address(url['rest']) or MASK}"


def looks_like_dsn(text: str) -> bool:
    """Say whether a text could be a connection string, wherever it was written."""
    return _SUSPECT.search(text) is not None


def shown(value: object, limit: int = 80) -> str:
    """Return the value of a setting that is not secret by name as it may stand in a message."""
    if isinstance(value, int | float):
        return repr(value)
    text = str(value)
    text = repr(mask_dsn(text) if looks_like_dsn(text) else text)
    return text if len(text) <= limit else f"{text[:limit]}…"


def _masked_address(rest: str) -> str | None:
    """Mask what follows ``scheme://``; None when it has parts that can't be told apart."""
    base, mark, query = rest.partition("?")
    parameters = _masked_query(query) if mark else ""
    # The last @ ends the credentials: everything before it may be part of a password.
    credentials, at, address = base.rpartition("@")
    hosts = address.partition("/")[0]
    if parameters is None or not all(_HOST.fullmatch(host) for host in hosts.split(",")):
        return None
    user, colon, _ = credentials.partition(":")
    return f"{user}{colon and ':' + MASK}{at}{address}{mark}{parameters}"


def _masked_query(query: str) -> str | None:
    """Mask the parameters of a URL; None when one of them is unknown."""
    shown_parts = []
    for part in query.split("&"):
        key, equals, value = part.partition("=")
        if key in _SECRET and equals:
            shown_parts.append(f"{key}={MASK}")
        elif key in _HARMLESS and equals:
            shown_parts.append(f"{key}={value}")
        elif part:
            return None
    return "&".join(shown_parts)


def _masked_pairs(text: str) -> str | None:
    """Mask ``key=value`` pairs; None when the text is not made of known ones."""
    shown_pairs, position = [], 0
    stripped = text.rstrip()
    while position < len(stripped):
        pair = _PAIR.match(stripped, position)
        if pair is None or pair["key"] not in _HARMLESS | _SECRET:
            return None
        value = MASK if pair["key"] in _SECRET else pair["value"]
        shown_pairs.append(f"{pair['key']}={value}")
        position = pair.end()
    return " ".join(shown_pairs) or None
