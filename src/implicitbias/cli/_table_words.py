"""The words on the command line that ask for how a table is read."""

from typing import Any

from implicitbias._core.tables import Cleaning


def cleaning_of(
    drop: list[str] | None,
    one_hot: list[str] | None,
    parse: list[str] | None,
    missing: list[str] | None,
    *rest: Any,
) -> Cleaning:
    """Return the request of options; `rest` are the other attributes of `Cleaning` in order."""
    return Cleaning(tuple(drop or ()), tuple(one_hot or ()), tuple(parse or ()), tuple(missing or ()), *rest)


def cleaning_words(cleaning: Cleaning) -> list[str]:
    """Return the options of a request.

    Examples:
        >>> cleaning_words(Cleaning(drop=("name",), missing=("-99",), impute="mean"))
        ['--drop', 'name', '--missing=-99', '--impute', 'mean']
    """
    words: list[str] = []
    for name, value in cleaning.asked().items():
        option = f"--{name.replace('_', '-')}"
        if value is True:
            words.append(option)
            continue
        for given in value if isinstance(value, tuple) else [value]:
            words += option_words(option, str(given))
    return words


def option_words(option: str, value: str) -> list[str]:
    """Return an option and its value as shell words; a value that looks like an option is joined by an equals sign."""
    return [f"{option}={value}"] if value.startswith("-") else [option, value]
