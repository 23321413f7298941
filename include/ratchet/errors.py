"""What can go wrong, by kind. Every message ends with what to do next; the CLI prints it and exits with `exit_code`."""

from __future__ import annotations

import re

PASSWORD = re.compile(r"://[^/\s]*@")


class RatchetError(Exception):
    """Base of every error that a person is meant to read. Exit codes from 2 on say the kind; see NEEDS_A_PERSON."""

    exit_code = 1

    def __str__(self) -> str:
        """The message; whoever wrote it, and whatever a library put into it, no URL in it keeps its password."""
        return PASSWORD.sub("://***@", super().__str__())


class ConfigurationError(RatchetError):
    """A setting or an argument is missing or wrong."""

    exit_code = 2


class InputError(RatchetError):
    """The source cannot be read as reviews."""

    exit_code = 3


class TooManyRefused(InputError):
    """More rows were refused than a healthy delivery has."""


class MissingInput(RatchetError):
    """A job was started before the job that makes its input."""

    exit_code = 4


class IntegrityError(RatchetError):
    """Bytes are not what their manifest says they are."""

    exit_code = 5


class ArtifactError(IntegrityError):
    """A model's artifact is incomplete, altered, or of a format this code does not read."""


class FitError(RatchetError):
    """The training does not come to an end that can be trusted."""

    exit_code = 3


class LedgerError(RatchetError):
    """The ledger refuses, or does not hold what was asked for."""

    exit_code = 6


class ServiceUnavailable(RatchetError):
    """Storage, MLflow or Postgres did not answer."""

    exit_code = 7


NEEDS_A_PERSON = frozenset({2, 3, 4, 5, 6})
"""Exit codes that another try would only repeat. A service that did not answer (7) or a killed process is worth one."""
