"""implicitbias: where does training end up, and how does it get there?

`import implicitbias as ib`. The public names are listed in `__init__.pyi` and resolved on first use, so that importing
costs nothing.
"""

from typing import Any

import lazy_loader

__version__ = "0.1.0"

_resolve, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> Any:
    if name in __all__:
        return _resolve(name)
    from difflib import get_close_matches

    near = get_close_matches(name, __all__, n=3)
    hint = f"; did you mean {' or '.join(near)}?" if near else f"; there are {', '.join(__all__)}"
    raise AttributeError(f"module 'implicitbias' has no attribute {name!r}{hint}")
