"""What the API says: whom it serves, how it fares, and how it reads a review."""

from __future__ import annotations

import time
from typing import Any

import httpx

from ratchet.dashboard.queries.prometheus import Look, parsed
from ratchet.dashboard.settings import DashboardSettings
from ratchet.errors import ConfigurationError, ServiceUnavailable

SECONDS = 3.0  # the page waits for it, and shows the rest without it
TERMS = 12  # n-grams of an explanation: what fits on a screen


def served(settings: DashboardSettings) -> dict[str, Any]:
    """What the API says of the model that it serves. Raises ServiceUnavailable or ConfigurationError, with a remedy."""
    return _body(_asked(settings, "GET", "/v1/model"), "promotion", "problem", "loaded_at")


def look(settings: DashboardSettings) -> Look:
    """The API's counters as they are now. Raises ServiceUnavailable or ConfigurationError, with a remedy."""
    answer = _asked(settings, "GET", "/metrics")
    return Look(time.time(), parsed(answer.text))


def read(settings: DashboardSettings, title: str, text: str) -> dict[str, Any]:
    """The answer to one review, with the model's version, and an `explanation` from an API that can give one.

    Raises ServiceUnavailable or ConfigurationError.
    """
    asked, wanted = {"reviews": [{"title": title, "text": text}]}, ("model_version", "predictions")
    try:
        body = _body(_asked(settings, "POST", "/v1/predict", json=asked | {"explain": TERMS}), *wanted)
    except Refused:  # by an API from before explanations, or because of the review: the second answer is about that
        body = _body(_asked(settings, "POST", "/v1/predict", json=asked), *wanted)
    return {"model_version": body["model_version"], **body["predictions"][0]}


class Refused(ServiceUnavailable):
    """The API does not take a request as it is."""


def _asked(settings: DashboardSettings, method: str, path: str, **given: Any) -> httpx.Response:
    """The API's answer, which is 200. Whatever else comes is raised as what a person can do about it."""
    where, key = settings.dashboard_api, settings.dashboard_api_key.get_secret_value()
    try:
        answer = httpx.request(
            method, f"{where}{path}", headers={"Authorization": f"Bearer {key}"}, timeout=SECONDS, **given
        )
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:  # a ValueError is a key that no header can hold
        raise ServiceUnavailable(f"The API at {where} did not answer: {error}. Is `ratchet serve` up?") from error
    if answer.status_code == httpx.codes.OK:
        return answer
    said = _detail(answer)
    if answer.status_code == httpx.codes.UNAUTHORIZED:
        raise ConfigurationError("The API knows no such key. Correct RATCHET_DASHBOARD_API_KEY.")
    if answer.status_code == httpx.codes.FORBIDDEN:
        raise ConfigurationError(f"The API's key may not ask {path}: {said} Give RATCHET_DASHBOARD_API_KEY that role.")
    if answer.status_code == httpx.codes.NOT_FOUND:
        raise ServiceUnavailable(f"The API at {where} has no {path}: update it, or correct RATCHET_DASHBOARD_API.")
    if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE:
        raise ServiceUnavailable(f"The API cannot answer now: {said}")
    if answer.status_code == httpx.codes.UNPROCESSABLE_ENTITY:
        raise Refused(f"The API does not take this: {said}")
    raise ServiceUnavailable(f"The API refused {path} with {answer.status_code}: {said}")


def _body(answer: httpx.Response, *wanted: str) -> dict[str, Any]:
    """The answer as JSON, with all that is wanted. Raises ConfigurationError where somebody else answers."""
    try:
        body = answer.json()
    except ValueError:
        body = None
    if not isinstance(body, dict) or not body.keys() >= set(wanted):
        raise ConfigurationError(f"What answers at {answer.url} is not the API. Correct RATCHET_DASHBOARD_API.")
    return body


def _detail(answer: httpx.Response) -> str:
    """Why, in the API's own words if it has some."""
    try:
        return str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return answer.reason_phrase
