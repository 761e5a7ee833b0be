"""A Ctrl-C waits until a step that must not be left half-done has ended, and ends every wait for others."""

from __future__ import annotations

import signal
import threading
import time
from concurrent.futures import Future

import pytest
from safe_load.core.interrupts import held_back, until_done


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_in_the_block_is_handled_after_it(number: signal.Signals) -> None:
    seen: list[str] = []
    before = signal.signal(number, lambda *_: seen.append("handled"))
    try:
        with held_back():
            signal.raise_signal(number)
            seen.append("done")
    finally:
        signal.signal(number, before)
    assert seen == ["done", "handled"]


def test_the_usual_handlers_are_back_after_an_error_in_the_block() -> None:
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(RuntimeError), held_back():
        raise RuntimeError
    assert signal.getsignal(signal.SIGINT) is before


def test_a_ctrl_c_held_back_is_raised_when_the_block_ends() -> None:
    steps: list[str] = []

    def run() -> None:
        with held_back():
            signal.raise_signal(signal.SIGINT)
            steps.append("whole")

    with pytest.raises(KeyboardInterrupt):
        run()
    assert steps == ["whole"]


def test_other_threads_are_left_alone() -> None:
    ran: list[bool] = []

    def run() -> None:
        with held_back():
            ran.append(True)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert ran == [True]


def test_a_signal_that_another_thread_was_given_ends_the_wait_too() -> None:
    """As one that comes just before the main thread waits: nothing wakes it."""
    ended: Future[None] = Future()

    def later() -> None:
        time.sleep(0.3)
        signal.pthread_kill(threading.get_ident(), signal.SIGINT)

    other = threading.Thread(target=later)
    other.start()
    safety = threading.Timer(20, ended.set_result, (None,))
    safety.start()
    with pytest.raises(KeyboardInterrupt):
        until_done([ended])
    assert not ended.done()
    safety.cancel()
    other.join()


def test_what_has_ended_is_not_waited_for_whatever_its_end() -> None:
    well, failed = Future[int](), Future[int]()
    well.set_result(1)
    failed.set_exception(ValueError())
    until_done([well, failed])
