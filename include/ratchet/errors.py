"""Errors by kind. Every message ends with the next step; the CLI prints it and exits with `exit_code`."""

from __future__ import annotations

import re

PASSWORD = re.compile(r"://[^/\s]*@")


class RatchetError(Exception):
    """Base of every error whose message is written for people. Exit codes from 2 on name the kind."""

    exit_code = 1

    def __str__(self) -> str:
        """The message, with user and password removed from every URL, also from those that a library wrote into it."""
        return PASSWORD.sub("://***@", super().__str__())


class ConfigurationError(RatchetError):
    """A setting or an argument is missing or wrong."""

    exit_code = 2


class InputError(RatchetError):
    """The source cannot be read as reviews."""

    exit_code = 3


class TooManyRefused(InputError):
    """More rows were refused than a valid delivery has."""


class MissingInput(RatchetError):
    """A job was started before the job that makes its input had finished."""

    exit_code = 4


class IntegrityError(RatchetError):
    """Bytes do not have the digest that their manifest records."""

    exit_code = 5


class ArtifactError(IntegrityError):
    """A model's artifact is incomplete, was altered, or has a format that this code does not read."""


class FitError(RatchetError):
    """The training does not converge."""

    exit_code = 3


class LedgerError(RatchetError):
    """The ledger refuses a request, or does not have what was requested."""

    exit_code = 6


class ServiceUnavailable(RatchetError):
    """Storage, MLflow or Postgres did not answer."""

    exit_code = 7


NEEDS_A_PERSON = frozenset({2, 3, 4, 5, 6})
"""Exit codes that a retry would only repeat. A service that did not answer (7) or a killed process deserves a retry."""
