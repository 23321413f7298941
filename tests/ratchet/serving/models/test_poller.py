"""Polling goes on for as long as the API runs, even if a poll raises an error."""

from __future__ import annotations

from structlog.testing import capture_logs

from harness.serving import wait_until
from ratchet.serving.models.poller import polling


def test_a_failed_poll_is_followed_by_the_next() -> None:
    """The log has kind and stack of the error, but not its message, which may quote anything."""
    polls = 0

    def poll() -> None:
        nonlocal polls
        polls += 1
        if polls == 1:
            raise KeyError("secret words")

    with capture_logs() as logged, polling(poll, 0.01, "follow-test"):
        wait_until(lambda: polls > 2)
    assert [(event["thread"], event["kind"]) for event in logged] == [("follow-test", "KeyError")]
    assert any(line.endswith(" poll") for line in logged[0]["stack"])
    assert "secret words" not in str(logged)
