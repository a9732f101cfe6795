"""Errors derive from one base; statuses are sentences."""

import pickle

import pytest

import implicitbias as ib


@pytest.mark.parametrize("error", [ib.InputError, ib.InfeasibleError])
def test_faults_of_the_input_are_value_errors_too(error: type[Exception]) -> None:
    assert issubclass(error, ib.ImplicitBiasError)
    assert issubclass(error, ValueError)


def test_the_base_is_no_value_error() -> None:
    assert not issubclass(ib.ImplicitBiasError, ValueError)


def test_infeasibility_carries_its_proof() -> None:
    proof = ib.Certificate("no point separates the labels", 0.0, {"farkas": 0.0}, 1e-9)
    with pytest.raises(ib.InfeasibleError, match="no margin") as caught:
        raise ib.InfeasibleError("no margin", proof)
    assert caught.value.certificate is proof


# Oracle: an error that reaches the parent from a worker process is unpickled there.
def test_infeasibility_pickles() -> None:
    proof = ib.Certificate("no point separates the labels", 0.0, {"farkas": 0.0}, 1e-9)
    copy = pickle.loads(pickle.dumps(ib.InfeasibleError("no margin", proof)))
    assert str(copy) == "no margin"
    assert copy.certificate.sentence == proof.sentence


@pytest.mark.parametrize("status", list(ib.Status), ids=lambda status: status.name)
def test_every_status_is_a_sentence(status: ib.Status) -> None:
    assert status.value[0].isupper()
    assert status.value.endswith(".")
    assert isinstance(status.ok, bool)


# Oracle: the design. `ok` is true if the result is the requested one.
def test_which_statuses_are_ok() -> None:
    ok = {status.name for status in ib.Status if status.ok}
    assert ok == {"CONVERGED", "NOT_UNIQUE", "REACHED_TIME", "REACHED_COUNT", "STOPPED_BY_CALLER"}
