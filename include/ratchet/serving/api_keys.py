"""API keys in the settings: a name, roles, and the SHA-256 of the key, but never the key itself."""

from __future__ import annotations

import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from ratchet.errors import ConfigurationError

ROLES = frozenset({"predict", "feedback", "admin"})
INSTRUCTIONS = (
    'Make one: KEY=$(openssl rand -hex 32); its hash: printf %s "$KEY" | sha256sum. Write the hash alone, '
    "or name:predict+feedback+admin:hash."
)


@dataclass(frozen=True)
class ApiKey:
    """One caller and its roles. A key without a name may predict and give feedback."""

    digest: bytes
    name: str = ""
    roles: frozenset[str] = ROLES - {"admin"}


def parse(setting: str) -> list[ApiKey]:
    """All keys of the setting, separated by commas: `HASH` or `name:role+role:HASH`.

    Raises ConfigurationError if there is none or one has another form. The message quotes none: it may be a key.
    """
    keys = [_key(each.strip()) for each in setting.split(",") if each.strip()]
    names = [key.name for key in keys if key.name]
    if not keys:
        raise ConfigurationError(
            f"RATCHET_SERVING_KEYS names no API key, so every request would be refused. {INSTRUCTIONS}"
        )
    if len({key.digest for key in keys}) < len(keys) or len(set(names)) < len(names):
        raise ConfigurationError("RATCHET_SERVING_KEYS has a key or a name twice. Each must be unique.")
    return keys


def _key(text: str) -> ApiKey:
    name, roles, digest = text.split(":") if text.count(":") == 2 else ("", "", text)
    if not re.fullmatch("[0-9a-fA-F]{64}", digest):
        raise ConfigurationError(f"RATCHET_SERVING_KEYS has an entry with no SHA-256 in hex. {INSTRUCTIONS}")
    if text == digest:
        return ApiKey(bytes.fromhex(digest))
    if not re.fullmatch("[A-Za-z0-9._-]{1,64}", name):
        raise ConfigurationError("In RATCHET_SERVING_KEYS, a name is 1 to 64 of A-Z, a-z, 0-9, dot, dash, underscore.")
    granted = frozenset(roles.split("+"))
    if not granted <= ROLES:
        raise ConfigurationError(f"In RATCHET_SERVING_KEYS, {name} has roles other than {', '.join(sorted(ROLES))}.")
    return ApiKey(bytes.fromhex(digest), name, granted)


def find(keys: Sequence[ApiKey], secret: str) -> ApiKey | None:
    """The API key with this secret, or None.

    Keys are compared by SHA-256, which is enough for random ones. The secret is compared with all of them, each in
    constant time, so that the duration depends neither on a match nor on its position.
    """
    digest = sha256(secret.encode()).digest()
    matches = [hmac.compare_digest(digest, key.digest) for key in keys]
    return keys[matches.index(True)] if any(matches) else None
