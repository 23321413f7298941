"""What is looked at beside the requests is looked at for as long as the API runs, whatever a look ends in."""

from __future__ import annotations

from structlog.testing import capture_logs

from harness.serving import wait_until
from ratchet.serving.models.poller import following


def test_a_look_that_fails_is_followed_by_the_next() -> None:
    """The fault is in the log, by kind and stack; its message, which may hold anything, is not."""
    looks = 0

    def look() -> None:
        nonlocal looks
        looks += 1
        if looks == 1:
            raise KeyError("secret words")

    with capture_logs() as logged, following(look, 0.01, "follow-test"):
        wait_until(lambda: looks > 2)
    assert [(event["thread"], event["kind"]) for event in logged] == [("follow-test", "KeyError")]
    assert any(line.endswith(" look") for line in logged[0]["stack"])
    assert "secret words" not in str(logged)
