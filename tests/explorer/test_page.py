"""Test the page in a real browser, and the server against requests that do not come from the page."""

import asyncio
import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from tests.chromium import chromium

pytestmark = pytest.mark.slow

# The newest settings are shown.
UP_TO_DATE = "m => m.dataset.shown > 0 && m.dataset.shown === m.dataset.asked"
SECONDS = 60_000


class Explorer:
    """The process of `implicitbias explore`, and the address that it printed."""

    def __init__(self, process: subprocess.Popen, url: str) -> None:
        self.process, self.url = process, url
        self.host, self.path = urlsplit(url).netloc, urlsplit(url).path
        self.token = self.path.split("/")[1]

    def status(self, path: str, headers: dict[str, str] | None = None, body: bytes | None = None) -> int:
        connection = http.client.HTTPConnection(self.host, timeout=20)
        try:
            connection.request("GET" if body is None else "POST", path, body, headers or {})
            with connection.getresponse() as response:
                return response.status
        finally:
            connection.close()


@pytest.fixture(scope="module")
def explorer() -> Iterator[Explorer]:
    command = [sys.executable, "-m", "implicitbias", "explore", "saddle-to-saddle", "--no-browser"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ
    )
    yield Explorer(process, process.stdout.readline().strip())
    # Ctrl-C ends the program without an error message.
    process.send_signal(signal.SIGINT)
    try:
        out, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 0, errors
    assert "The explorer has ended." in out
    assert "Traceback" not in errors


@pytest.fixture
def browser() -> Iterator:
    with chromium() as opened:
        yield opened


def curves(page) -> float:
    """Return the sum of all simulated coefficients that the page holds."""
    return page.evaluate(
        """() => Bokeh.documents[0].roots()[0].renderers[0].data_source.data.y
        .reduce((sum, curve) => sum + [...curve].reduce((a, b) => a + Math.abs(b), 0), 0)"""
    )


def test_the_page_follows_the_keyboard(browser, explorer: Explorer) -> None:
    page, problems = browser.new_page(viewport={"width": 390, "height": 844}), []
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.goto(explorer.url)
    main = page.locator("main")
    page.wait_for_function(f"() => ({UP_TO_DATE})(document.querySelector('main'))", timeout=SECONDS)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    before = curves(page)
    assert before > 0.0
    slider = page.get_by_label("initialisation α")
    for _ in range(20):
        page.keyboard.press("Tab")
        if slider.evaluate("field => field === document.activeElement"):
            break
    assert slider.get_attribute("aria-valuetext") == "10⁻³⁰"
    for _ in range(4):
        page.keyboard.press("ArrowRight")
    assert slider.get_attribute("aria-valuetext") == "10⁻²⁸"
    page.wait_for_function(f"() => ({UP_TO_DATE})(document.querySelector('main'))", timeout=SECONDS)
    assert curves(page) != before
    page.get_by_role("button", name="Default values").press("Enter")
    page.wait_for_function(f"() => ({UP_TO_DATE})(document.querySelector('main'))", timeout=SECONDS)
    assert curves(page) == pytest.approx(before)
    assert int(main.get_attribute("data-shown")) >= 3
    # A number out of its range is refused in words, and the page goes on.
    page.evaluate(
        "() => { Bokeh.documents[0].get_model_by_name('asked').data = {number: [5, 12, 1e9, 0, 0, 900]} }"
    )
    page.get_by_text("initialisation α is 5, a number from -300 to -0.5 is expected").wait_for(
        timeout=SECONDS
    )
    assert problems == []
    page.emulate_media(color_scheme="dark")
    ink = "() => Bokeh.documents[0].roots()[0].left[0].major_label_text_color"
    page.wait_for_function(f"() => ({ink})() === '#9aa5ad'", timeout=SECONDS)
    page.close()


def test_requests_that_do_not_come_from_the_page(explorer: Explorer) -> None:
    own = {"Host": explorer.host}
    assert explorer.status(explorer.path) == 200
    assert explorer.status("/saddle-to-saddle") == 403
    assert explorer.status("/static/js/bokeh.min.js") == 403
    assert explorer.status(explorer.path, {"Host": "evil.example"}) == 403
    assert explorer.status(explorer.path, {**own, "Origin": "http://evil.example"}) == 403
    assert explorer.status(f"{explorer.path}/ws", {**own, "Origin": "http://evil.example"}) == 403
    assert explorer.status(explorer.path, own, b"x" * 100) == 403
    for folder in ("static/", "static/extensions/", ""):
        for way in (
            "../../../../../etc/passwd",
            "..%2f..%2f..%2f..%2f..%2fetc/passwd",
            "%2e%2e/%2e%2e/server.py",
        ):
            assert explorer.status(f"/{explorer.token}/{folder}{way}") in (403, 404)
    # Too large requests are refused: by status 400 or 431, or by the end of the connection.
    for headers, body in (({"X": "x" * 100_000}, None), ({}, b"x" * 200_000)):
        with contextlib.suppress(ConnectionError, http.client.HTTPException):
            assert explorer.status(explorer.path, headers, body) in (400, 403, 413, 431)
    assert explorer.status(explorer.path) == 200


def test_too_large_messages_end_the_connection(explorer: Explorer) -> None:
    from bokeh.util.token import generate_jwt_token, generate_session_id
    from tornado.httpclient import HTTPRequest
    from tornado.websocket import websocket_connect

    async def reply_to(padding: int) -> str | bytes | None:
        """Return the reply to a request for the document whose content is padded; None after the connection ended."""
        request = HTTPRequest(
            f"ws://{explorer.host}{explorer.path}/ws", headers={"Origin": f"http://{explorer.host}"}
        )
        token = generate_jwt_token(generate_session_id(signed=False), signed=False)
        socket = await websocket_connect(request, subprotocols=["bokeh", token])
        assert "ACK" in await socket.read_message()
        (
            await socket.read_message(),
            await socket.read_message(),
        )  # the metadata and the content of the first message
        for part in ({"msgid": "1", "msgtype": "PULL-DOC-REQ"}, {}, {"padding": "x" * padding}):
            await socket.write_message(json.dumps(part))
        reply = await asyncio.wait_for(socket.read_message(), 30)
        socket.close()
        while reply is not None and await socket.read_message() is not None:  # until the connection has ended
            pass
        return reply

    assert "PULL-DOC-REPLY" in asyncio.run(reply_to(50_000))
    assert asyncio.run(reply_to(100_000)) is None
    assert explorer.status(explorer.path) == 200
