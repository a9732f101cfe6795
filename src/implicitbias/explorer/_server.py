"""The local server of the explorer."""

import os
import secrets
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from implicitbias._core.errors import InputError
from implicitbias.explorer._exploration import Exploration
from implicitbias.explorer._registry import EXPLORATIONS, find

# The largest request and message that a page may send, in bytes. Its settings need some hundred.
_LARGEST = 64 * 1024
_ADDRESS = "127.0.0.1"


class RunningServer:
    """A server on this machine.

    Attributes:
        url: the address of the page, with the token.
    """

    def __init__(self, url: str, loop: Any) -> None:
        self.url, self._loop = url, loop

    def run(self) -> None:
        """Answer requests until Ctrl-C.

        Raises:
            KeyboardInterrupt: the user typed Ctrl-C.
        """
        self._loop.start()


@contextmanager
def explorer_server(study: str | None = None, port: int = 0) -> Iterator[RunningServer]:
    """Return a server that only this machine can reach, for as long as the scope is open.

    Args:
        study: the name of the exploration whose page has the address; None for the first one.
        port: the port; 0 for any free one.

    Raises:
        InputError: there is no such exploration, or the port cannot be used.
    """
    chosen = EXPLORATIONS[0] if study is None else find(study)
    if not 0 <= port <= 65535:
        raise InputError(f"--port is {port}, a number from 0 to 65535 is expected; 0 takes any free port")
    with socket.socket() as listener:
        _bind(listener, port)
        with _serving(listener, chosen) as running:
            yield running


def _bind(listener: socket.socket, port: int) -> None:
    """Let a socket listen on the port of this machine."""
    listener.setblocking(False)
    if os.name != "nt":  # There, the option would let two programs use one port.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((_ADDRESS, port))
        listener.listen()
    except OSError as error:
        raise InputError(
            f"port {port} cannot be used: {error.strerror or error}; another program may use it: leave out --port to "
            "take a free one"
        ) from None


@contextmanager
def _serving(listener: socket.socket, chosen: Exploration) -> Iterator[RunningServer]:
    """Serve all explorations on a socket."""
    import asyncio

    from bokeh.server.server import BaseServer
    from bokeh.server.tornado import BokehTornado
    from tornado.httpserver import HTTPServer
    from tornado.ioloop import IOLoop

    from implicitbias.explorer._document import add_exploration
    from implicitbias.explorer._gate import Gate
    from implicitbias.explorer._worker import Worker

    token, port = secrets.token_urlsafe(24), listener.getsockname()[1]
    events = asyncio.new_event_loop()
    asyncio.set_event_loop(events)
    loop, worker = IOLoop.current(), Worker()
    names = [exploration.name for exploration in EXPLORATIONS]

    def page(exploration: Exploration) -> Callable[[Any], None]:
        return lambda doc: add_exploration(doc, exploration, worker, names)

    pages = {f"/{one.name}": page(one) for one in EXPLORATIONS}
    application = BokehTornado(
        pages,
        prefix=token,
        extra_websocket_origins=[f"{_ADDRESS}:{port}", f"localhost:{port}"],
        use_index=False,
        websocket_max_message_size_bytes=_LARGEST,
        include_headers=[],
        include_cookies=[],
        stats_log_frequency_milliseconds=3_600_000,
    )
    http = HTTPServer(Gate(application, token, port), max_header_size=_LARGEST, max_body_size=_LARGEST)
    http.add_socket(listener)
    server = BaseServer(loop, application, http)
    server.start()
    worker.compile_ahead([chosen, *(one for one in EXPLORATIONS if one is not chosen)])
    try:
        yield RunningServer(f"http://{_ADDRESS}:{port}/{token}/{chosen.name}", loop)
    finally:
        server.stop(wait=False)
        worker.stop()
        loop.close(all_fds=True)
        asyncio.set_event_loop(None)
