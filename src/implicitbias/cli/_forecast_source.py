"""The user's function that `implicitbias forecast MODULE:FUNCTION` calls: how it is found, called and checked."""

import importlib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from implicitbias._core.errors import ImplicitBiasError, InputError

_NEEDED = ("problem", "params", "weight_decay", "test")
_ALLOWED = (*_NEEDED, "learning_rate", "optimizer", "rtol")
_RETURN = "return {" + ", ".join(f'"{name}": {name}' for name in _NEEDED) + ', "learning_rate": 0.01}'


class Source(NamedTuple):
    """The arguments of a forecast, and the file that they come from."""

    arguments: dict[str, Any]
    file: Path


def read_source(named: str) -> Source:
    """Return what the function MODULE:FUNCTION returns; MODULE is an importable module or the path of a Python file.

    Raises:
        InputError: there is no such module or function, it fails, or it returns something else.
    """
    module_name, colon, function_name = named.rpartition(":")
    if not (colon and module_name and function_name):
        raise InputError(
            f"{named!r} names no function, MODULE:FUNCTION is expected; type implicitbias forecast "
            f"{(module_name or named or 'my_model').strip(':')}:forecast_me"
        )
    module = _module(module_name)
    function = getattr(module, function_name, None)
    if not callable(function):
        offered = [
            name
            for name, item in vars(module).items()
            if inspect.isfunction(item) and item.__module__ == module.__name__
        ]
        raise InputError(
            f"{module_name} has no function {function_name!r}; it has {', '.join(offered) or 'no functions'}"
        )
    try:
        result = function()
    except ImplicitBiasError:
        raise
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        raise InputError(
            f"{named} failed with {type(error).__name__}: {error} ({place.filename}, line {place.lineno}); it must run "
            f"without arguments and {_RETURN}"
        ) from error
    return Source(_arguments(named, result), Path(getattr(module, "__file__", None) or module_name))


def _module(name: str) -> ModuleType:
    try:
        if name.endswith(".py"):
            return _module_of_file(Path(name))
        if "" not in sys.path:  # a console script does not search the current folder
            sys.path.insert(0, "")
        return importlib.import_module(name)
    except ImplicitBiasError:
        raise
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and error.name == name.partition(".")[0]:
            hint = (
                f"; type implicitbias forecast {name}.py:FUNCTION for a file"
                if Path(f"{name}.py").is_file()
                else ""
            )
            raise InputError(f"there is no module {name!r} here or among the installed ones{hint}") from None
        place = traceback.extract_tb(error.__traceback__)[-1]
        raise InputError(
            f"{name} cannot be imported: {type(error).__name__}: {error} ({place.filename}, line {place.lineno})"
        ) from error


def _module_of_file(file: Path) -> ModuleType:
    if not file.is_file():
        raise InputError(
            f"there is no file {file}; the path of a Python file or the name of a module is expected"
        )
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None and spec.loader is not None  # noqa: PT018  a name that ends with .py has a loader
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(file.resolve().parent))
    sys.modules[file.stem] = module
    spec.loader.exec_module(module)
    return module


def _arguments(named: str, result: Any) -> dict[str, Any]:
    if isinstance(result, tuple) and hasattr(result, "_asdict"):
        result = result._asdict()
    elif is_dataclass(result) and not isinstance(result, type):
        result = {field.name: getattr(result, field.name) for field in fields(result)}
    if not isinstance(result, Mapping):
        raise InputError(f"{named} returns a {type(result).__name__}, a dict is expected; type {_RETURN}")
    missing = [name for name in _NEEDED if name not in result]
    strange = [str(name) for name in result if name not in _ALLOWED]
    if missing or strange:
        problem = f"lacks {', '.join(missing)}" if missing else f"has the unknown entry {strange[0]!r}"
        raise InputError(
            f"the dict that {named} returns {problem}; {', '.join(_ALLOWED)} are expected, the last three of which "
            f"may be left out; type {_RETURN}"
        )
    return dict(result)
