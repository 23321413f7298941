"""API keys as the service knows them: a name, roles, and the SHA-256 of a key, but never a key."""

from __future__ import annotations

import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from ratchet.errors import ConfigurationError

ROLES = frozenset({"predict", "feedback", "admin"})
HOW = (
    'Make one: KEY=$(openssl rand -hex 32); its hash: printf %s "$KEY" | sha256sum. Write the hash alone, '
    "or name:predict+feedback+admin:hash."
)


@dataclass(frozen=True)
class ApiKey:
    """Who asks, and what they may do. A key without a name may predict and give feedback."""

    digest: bytes
    name: str = ""
    roles: frozenset[str] = ROLES - {"admin"}


def parse(setting: str) -> list[ApiKey]:
    """All keys of the setting, separated by commas: `HASH` or `name:role+role:HASH`.

    Raises ConfigurationError without any, or for one of another form; it quotes none, for it may be a key.
    """
    keys = [_key(each.strip()) for each in setting.split(",") if each.strip()]
    names = [key.name for key in keys if key.name]
    if not keys:
        raise ConfigurationError(f"RATCHET_SERVING_KEYS names no API key, so nobody could ask anything. {HOW}")
    if len({key.digest for key in keys}) < len(keys) or len(set(names)) < len(names):
        raise ConfigurationError("RATCHET_SERVING_KEYS has a key or a name twice. Who asks must be one of them.")
    return keys


def _key(text: str) -> ApiKey:
    name, roles, digest = text.split(":") if text.count(":") == 2 else ("", "", text)
    if not re.fullmatch("[0-9a-fA-F]{64}", digest):
        raise ConfigurationError(f"RATCHET_SERVING_KEYS holds something that is no SHA-256 in hex. {HOW}")
    if text == digest:
        return ApiKey(bytes.fromhex(digest))
    if not re.fullmatch("[A-Za-z0-9._-]{1,64}", name):
        raise ConfigurationError("In RATCHET_SERVING_KEYS, a name is 1 to 64 of A-Z, a-z, 0-9, dot, dash, underscore.")
    given = frozenset(roles.split("+"))
    if not given <= ROLES:
        raise ConfigurationError(f"In RATCHET_SERVING_KEYS, {name} has roles other than {', '.join(sorted(ROLES))}.")
    return ApiKey(bytes.fromhex(digest), name, given)


def find(keys: Sequence[ApiKey], given: str) -> ApiKey | None:
    """Whose key this is. It is compared by its hash, which is enough for random ones; and with all of them, each in
    constant time, so that the time it takes tells nothing."""
    digest = sha256(given.encode()).digest()
    matches = [hmac.compare_digest(digest, key.digest) for key in keys]
    return keys[matches.index(True)] if any(matches) else None
