"""Fixtures for modules that test one point of one study, which their constants NAME and POINT name."""

from typing import Any

import pytest

import implicitbias as ib
from implicitbias.studies import Claim
from tests.studies.running import computed


@pytest.fixture(scope="module")
def data(request: pytest.FixtureRequest) -> Any:
    return computed(request.module.NAME, request.module.POINT)


@pytest.fixture(scope="module")
def claims(request: pytest.FixtureRequest, data: Any) -> list[Claim]:
    return ib.studies.load(request.module.NAME).claims(request.module.POINT, data)
