"""Ctrl-C in a callback, where Python cannot raise an exception, still ends the command."""

import _thread
import ctypes
import sys
import time

import pytest

from implicitbias.cli._interrupts import kept_interrupts


def _callback() -> None:
    """Let Ctrl-C come while C calls Python."""

    def interrupted() -> None:
        _thread.interrupt_main()
        for _ in range(1000):  # the interpreter raises it in one of these steps
            pass

    ctypes.CFUNCTYPE(None)(interrupted)()


def test_an_interrupt_in_a_callback_is_delivered_again() -> None:
    before = sys.unraisablehook

    def work() -> None:
        with kept_interrupts():
            _callback()
            time.sleep(60.0)

    begin = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        work()
    assert time.monotonic() - begin < 30.0
    assert sys.unraisablehook is before


def test_other_errors_in_callbacks_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    told = []
    monkeypatch.setattr(sys, "unraisablehook", lambda error: told.append(error.exc_type))

    def fail() -> None:
        raise ZeroDivisionError

    with kept_interrupts():
        ctypes.CFUNCTYPE(None)(fail)()
    assert told == [ZeroDivisionError]
