"""HTTP/1.1 for clients that offer another protocol: the offer is ignored, and the request is served as it is."""

from __future__ import annotations

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_OFFER = frozenset({b"upgrade", b"http2-settings"})
"""Names of the headers that offer another protocol."""


class IgnoringUpgrades(HttpToolsProtocol):
    """Uvicorn's protocol, except that a request with the header `Upgrade` keeps its body.

    Java's HttpClient and `curl --http2` send this header; RFC 9110, section 7.8, lets a server ignore it. The parser
    takes everything after such a head for another protocol. So a new parser gets the head without the offer, and then
    the bytes that follow it.
    """

    def data_received(self, data: bytes) -> None:
        """Parse bytes of the connection."""
        self._unset_keepalive_if_required()
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            if self._is_offer():
                head = self._head_without_offer()
                self.parser = httptools.HttpRequestParser(self)
                self.data_received(head + data[upgrade.args[0] :])
        except httptools.HttpParserError:
            message = "Invalid HTTP request received."
            self.logger.warning(message)
            self.send_400_response(message)

    def on_headers_complete(self) -> None:
        """Start the request, unless its head is about to be parsed again."""
        if not self._is_offer():
            super().on_headers_complete()

    def on_message_complete(self) -> None:
        """End the request's body, unless its head is about to be parsed again."""
        if not self._is_offer():
            super().on_message_complete()

    def _is_offer(self) -> bool:
        """Whether the head offers another protocol. CONNECT, which the app refuses, is no offer."""
        return bool(self.parser.should_upgrade()) and self.parser.get_method() != b"CONNECT"

    def _head_without_offer(self) -> bytes:
        """The head that was parsed last, without the headers of the offer."""
        lines = [b"%s %s HTTP/%s" % (self.parser.get_method(), self.url, self.parser.get_http_version().encode())]
        for name, value in self.headers:
            kept = value
            if name == b"connection":
                options = [option.strip() for option in value.split(b",")]
                kept = b", ".join(option for option in options if option.lower() not in _OFFER)
            if name not in _OFFER:
                lines.append(b"%s: %s" % (name, kept))
        return b"\r\n".join(lines) + b"\r\n\r\n"
