"""BLAS uses one thread inside the scope; when all scopes are closed, the number of threads is as before."""

from threading import Barrier, Thread

import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from implicitbias._core.blas_threads import one_blas_thread


def threads() -> set[int]:
    return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}


def test_one_thread_inside_and_the_old_number_afterwards() -> None:
    with threadpool_limits(2, user_api="blas"):
        before = threads()
        with one_blas_thread():
            assert threads() == {1}
            with one_blas_thread():
                assert threads() == {1}
            assert threads() == {1}
        assert threads() == before
        with one_blas_thread(needed=False):
            assert threads() == before


def test_an_error_closes_the_scope() -> None:
    with threadpool_limits(2, user_api="blas"):
        before = threads()
        with pytest.raises(ZeroDivisionError), one_blas_thread():
            _ = 1 / 0
        assert threads() == before


@pytest.mark.parametrize("first_closes_first", [False, True])
def test_scopes_of_several_threads_overlap(first_closes_first: bool) -> None:
    with threadpool_limits(2, user_api="blas"):
        before, inside, meet = threads(), [], Barrier(2)

        def second() -> None:
            meet.wait()
            with one_blas_thread():
                inside.append(threads())
                meet.wait()
                if first_closes_first:
                    meet.wait()
            if not first_closes_first:
                meet.wait()

        other = Thread(target=second)
        other.start()
        with one_blas_thread():
            meet.wait()
            meet.wait()
            if not first_closes_first:
                meet.wait()
        if first_closes_first:
            meet.wait()
        other.join()
        assert inside == [{1}]
        assert threads() == before
