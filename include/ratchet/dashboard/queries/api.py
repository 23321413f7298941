"""Requests to the API: the model that it serves, its metrics, and its prediction for one review."""

from __future__ import annotations

import time
from typing import Any

import httpx

from ratchet.dashboard.queries.prometheus import MetricsSnapshot, parse_metrics
from ratchet.dashboard.settings import DashboardSettings
from ratchet.errors import ConfigurationError, ServiceUnavailable

TIMEOUT_SECONDS = 3.0  # a page waits this long for the API, and shows the rest without it
TERMS = 12  # n-grams of an explanation: as many as fit on a screen


def served_model(settings: DashboardSettings) -> dict[str, Any]:
    """The API's description of the model that it serves, with `promotion`, `problem` and `loaded_at`.

    Raises ServiceUnavailable or ConfigurationError, with a remedy.
    """
    return _json_body(_request(settings, "GET", "/v1/model"), "promotion", "problem", "loaded_at")


def scrape_metrics(settings: DashboardSettings) -> MetricsSnapshot:
    """The API's metrics as they are now. Raises ServiceUnavailable or ConfigurationError, with a remedy."""
    response = _request(settings, "GET", "/metrics")
    return MetricsSnapshot(time.time(), parse_metrics(response.text))


def predict_review(settings: DashboardSettings, title: str, text: str) -> dict[str, Any]:
    """The prediction for one review, with `model_version`, and with `explanation` if the API can give one.

    Raises ServiceUnavailable or ConfigurationError, with a remedy.
    """
    request, required = {"reviews": [{"title": title, "text": text}]}, ("model_version", "predictions")
    try:
        body = _json_body(_request(settings, "POST", "/v1/predict", json=request | {"explain": TERMS}), *required)
    except RequestRefused:  # the API is older than explanations, or the review is wrong: a second request shows which
        body = _json_body(_request(settings, "POST", "/v1/predict", json=request), *required)
    return {"model_version": body["model_version"], **body["predictions"][0]}


class RequestRefused(ServiceUnavailable):
    """The API refuses the content of a request (422)."""


def _request(settings: DashboardSettings, method: str, path: str, **options: Any) -> httpx.Response:
    """The API's response if its status is 200; any other outcome is raised as an error with a remedy."""
    address, key = settings.dashboard_api, settings.dashboard_api_key.get_secret_value()
    try:
        response = httpx.request(
            method, f"{address}{path}", headers={"Authorization": f"Bearer {key}"}, timeout=TIMEOUT_SECONDS, **options
        )
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:  # ValueError: the key cannot be a header's value
        raise ServiceUnavailable(f"The API at {address} did not answer: {error}. Is `ratchet serve` up?") from error
    if response.status_code == httpx.codes.OK:
        return response
    raise _error(response, address, path)


def _error(response: httpx.Response, address: str, path: str) -> ServiceUnavailable | ConfigurationError:
    """The error for a response whose status is not 200."""
    detail = _detail(response)
    match response.status_code:
        case httpx.codes.UNAUTHORIZED:
            return ConfigurationError("The API does not know this key. Correct RATCHET_DASHBOARD_API_KEY.")
        case httpx.codes.FORBIDDEN:
            return ConfigurationError(
                f"The API's key may not use {path}: {detail} Give the key in RATCHET_DASHBOARD_API_KEY that role."
            )
        case httpx.codes.NOT_FOUND:
            return ServiceUnavailable(
                f"The API at {address} has no {path}: update it, or correct RATCHET_DASHBOARD_API."
            )
        case httpx.codes.SERVICE_UNAVAILABLE:
            return ServiceUnavailable(f"The API cannot answer now: {detail}")
        case httpx.codes.UNPROCESSABLE_ENTITY:
            return RequestRefused(f"The API refuses this request: {detail}")
    return ServiceUnavailable(f"The API refused {path} with status {response.status_code}: {detail}")


def _json_body(response: httpx.Response, *required: str) -> dict[str, Any]:
    """The response as JSON with the required fields. Raises ConfigurationError if another service responded."""
    try:
        body = response.json()
    except ValueError:
        body = None
    if not isinstance(body, dict) or not body.keys() >= set(required):
        raise ConfigurationError(f"The service at {response.url} is not the API. Correct RATCHET_DASHBOARD_API.")
    return body


def _detail(response: httpx.Response) -> str:
    """The API's own message, or the status' reason phrase without one."""
    try:
        return str(response.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return response.reason_phrase
