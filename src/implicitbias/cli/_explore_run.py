"""The command `implicitbias explore`: a local page with sliders."""

import threading
import webbrowser

from implicitbias.cli._terminal import say


def run_explorer(study: str | None, port: int, *, browser: bool) -> None:
    """Serve the explorer until Ctrl-C.

    Raises:
        InputError: there is no such exploration, or the port cannot be used.
    """
    from implicitbias.explorer import explorer_server

    try:
        with explorer_server(study, port) as server:
            print(server.url, flush=True)
            say("Only this machine can open this address. Ctrl-C ends the program.")
            if browser:
                # A browser in the terminal returns only when it is closed, and the page waits for this process.
                threading.Thread(target=_open, args=(server.url,), daemon=True).start()
            server.run()
    except KeyboardInterrupt:
        say("The explorer has ended.")


def _open(url: str) -> None:
    if not webbrowser.open(url):
        say("No browser was found; open the address yourself.")
