"""The run-time type checker of the tests: beartype with Python's numeric tower, as type checkers read `float`."""

from beartype import BeartypeConf, beartype

checked = beartype(conf=BeartypeConf(is_pep484_tower=True))
