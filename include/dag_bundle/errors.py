"""What can go wrong on the way; every message says what to do next."""

from __future__ import annotations


class DeliveryError(Exception):
    """The base of all errors that are meant for people."""


class InvalidProject(DeliveryError):
    """What is there cannot be released."""


class NotFound(DeliveryError):
    """There is no object under this key."""


class PlaceUnavailable(DeliveryError):
    """The bucket did not answer, or refused."""


class NoRelease(DeliveryError):
    """The release that was asked for is not there, or there is none yet."""


class CorruptRelease(DeliveryError):
    """What lies in the place is not what was released."""


class Shadowed(DeliveryError):
    """Another copy of the code would be imported instead of the release's."""
