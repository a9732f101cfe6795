"""Ctrl-C in a callback, where Python cannot raise an exception, still ends the command."""

import ctypes
import signal
import sys
import time

import pytest

from implicitbias.cli._interrupts import kept_interrupts


def _callback() -> None:
    """Let Ctrl-C come while C calls Python."""

    def interrupted() -> None:
        signal.raise_signal(signal.SIGINT)
        for _ in range(1000):  # the interpreter raises it in one of these steps
            pass

    ctypes.CFUNCTYPE(None)(interrupted)()


def test_an_interrupt_in_a_callback_is_delivered_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)  # the test restores it

    def work() -> None:
        with kept_interrupts():
            _callback()
            time.sleep(60.0)

    begin = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        work()
    assert time.monotonic() - begin < 30.0
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


class Incomplete:
    """An object whose destructor fails, as those of libraries do for objects that were not completed."""

    def __del__(self) -> None:
        raise AttributeError


def test_objects_that_an_interrupt_left_incomplete_print_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    told = []
    monkeypatch.setattr(sys, "unraisablehook", lambda error: told.append(error.exc_type))

    def work() -> None:
        with kept_interrupts():
            Incomplete()
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        work()
    assert told == [AttributeError]
    Incomplete()
    assert told == [AttributeError]


def test_other_errors_in_callbacks_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    told = []
    monkeypatch.setattr(sys, "unraisablehook", lambda error: told.append(error.exc_type))

    def fail() -> None:
        raise ZeroDivisionError

    with kept_interrupts():
        ctypes.CFUNCTYPE(None)(fail)()
    assert told == [ZeroDivisionError]
