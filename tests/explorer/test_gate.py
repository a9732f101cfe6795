"""Test which requests the server refuses."""

import socket

import pytest
from tornado.httputil import HTTPHeaders, HTTPServerRequest, RequestStartLine
from tornado.web import Application

from implicitbias import InputError
from implicitbias.explorer import explorer_server
from implicitbias.explorer._gate import Gate

TOKEN = "secret-token"
OWN = {"Host": "127.0.0.1:5006"}


def refused(path: str, headers: dict[str, str], method: str = "GET") -> bool:
    request = HTTPServerRequest(
        start_line=RequestStartLine(method, path, "HTTP/1.1"), headers=HTTPHeaders(headers)
    )
    return Gate(Application(), TOKEN, 5006).refuses(request)


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        (f"/{TOKEN}/separable", OWN),
        (f"/{TOKEN}/separable", {"Host": "localhost:5006"}),
        (f"/{TOKEN}/separable/ws", {**OWN, "Origin": "http://127.0.0.1:5006"}),
        (f"/{TOKEN}/static/js/bokeh.min.js?v=1", OWN),
    ],
)
def test_requests_of_the_page_pass(path: str, headers: dict[str, str]) -> None:
    assert not refused(path, headers)


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/", OWN),
        ("/separable", OWN),
        ("/static/js/bokeh.min.js", OWN),
        (f"/{TOKEN}x/separable", OWN),
        (f"//{TOKEN}/separable", OWN),
        (f"/{TOKEN}é/separable", OWN),
        (f"/x/../{TOKEN}/separable", OWN),
        (f"/{TOKEN}/separable", {"Host": "127.0.0.1:5007"}),
        (f"/{TOKEN}/separable", {"Host": "evil.example:5006"}),
        (f"/{TOKEN}/separable", {**OWN, "Origin": "http://evil.example"}),
        (f"/{TOKEN}/separable", {**OWN, "Origin": "null"}),
        (f"/{TOKEN}/separable", {**OWN, "Origin": "https://127.0.0.1:5006"}),
        (f"/{TOKEN}/separable/ws", OWN),
    ],
)
def test_other_requests_are_refused(path: str, headers: dict[str, str]) -> None:
    assert refused(path, headers)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_other_methods_are_refused(method: str) -> None:
    assert refused(f"/{TOKEN}/separable", OWN, method)


def test_a_used_port_is_an_error_in_words() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(InputError, match=f"port {port} cannot be used: .*leave out --port"):
            explorer_server(None, port).__enter__()


def test_a_port_out_of_range_and_an_unknown_study_are_errors() -> None:
    with pytest.raises(InputError, match="--port is 70000, a number from 0 to 65535 is expected"):
        explorer_server(None, 70_000).__enter__()
    with pytest.raises(InputError, match="there is no exploration of 'x'"):
        explorer_server("x").__enter__()
