"""The errors of this package. Every message names the next step."""

from __future__ import annotations


class ReleaseError(Exception):
    """The base of all errors whose message is meant for the user."""


class InvalidProject(ReleaseError):
    """The project's folder cannot be released."""


class NotFound(ReleaseError):
    """The store has no object under this key."""


class StoreUnavailable(ReleaseError):
    """The bucket did not answer, or refused the request."""


class NoRelease(ReleaseError):
    """The requested release does not exist, or there is none yet."""


class CorruptRelease(ReleaseError):
    """The stored bytes differ from those that were released."""


class ShadowedPackage(ReleaseError):
    """Python would import another copy of a package that the release contains."""
