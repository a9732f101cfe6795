"""The gate in front of the server: requests without the token, of other hosts or from other origins get status 403."""

import secrets
from typing import Any
from urllib.parse import urlsplit

from tornado.httputil import HTTPHeaders, HTTPMessageDelegate, HTTPServerRequest, ResponseStartLine
from tornado.routing import Router

_METHODS = ("GET", "HEAD")


class Gate(Router):
    """The router of the server. It passes on requests that are allowed, and refuses all others."""

    def __init__(self, application: Router, token: str, port: int) -> None:
        self._application, self._token = application, token.encode()
        self._hosts = {f"127.0.0.1:{port}", f"localhost:{port}"}

    def find_handler(self, request: HTTPServerRequest) -> HTTPMessageDelegate | None:  # type: ignore[override]
        """Return the handler of a request."""
        if self.refuses(request):
            return _Refusal(request.connection)
        return self._application.find_handler(request)

    def refuses(self, request: HTTPServerRequest) -> bool:
        """Return whether a request is refused.

        A page of another site cannot know the token. The host is checked against sites whose name points to this
        machine, and the origin against pages of other sites that send requests here.
        """
        first = request.path.split("/", 2)[1] if request.path.startswith("/") else ""
        if not secrets.compare_digest(first.encode("utf-8", "replace"), self._token):
            return True
        if request.headers.get("Host", "") not in self._hosts or request.method not in _METHODS:
            return True
        origin = request.headers.get("Origin")
        if origin is None:
            return request.path.endswith("/ws")  # Browsers always send the origin of a websocket.
        parts = urlsplit(origin)
        return parts.scheme != "http" or parts.netloc not in self._hosts


class _Refusal(HTTPMessageDelegate):
    """The answer with status 403."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def finish(self) -> None:
        body = b"403: this address needs the token that `implicitbias explore` printed.\n"
        headers = HTTPHeaders({"Content-Type": "text/plain; charset=utf-8", "Content-Length": str(len(body))})
        self._connection.write_headers(ResponseStartLine("HTTP/1.1", 403, "Forbidden"), headers, body)
        self._connection.finish()
