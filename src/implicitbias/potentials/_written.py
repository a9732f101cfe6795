"""Settings of potentials as a user would type them."""

from typing import Any

import numpy as np

_DIGITS, _MOST = 6, 9


def written(setting: Any) -> str:
    """Return a setting as text: numbers and short arrays as they are typed, functions by their names.

    Examples:
        >>> import numpy as np
        >>> from implicitbias.potentials._written import written
        >>> written(np.float64(3.0)), written(np.eye(2)), written(max)
        ('3', '[[1, 0], [0, 1]]', 'max')
    """
    # A traced number has no value; it is shown by its own text.
    if isinstance(setting, (int, float, np.generic, np.ndarray)):
        array = np.asarray(setting)
        if array.ndim == 0:
            return f"{float(array):.12g}"
        if array.size > _MOST:
            return f"<array of shape {array.shape}>"
        return str(
            np.vectorize(lambda number: f"{number:.{_DIGITS}g}", otypes=[object])(array).tolist()
        ).replace("'", "")
    return str(getattr(setting, "__name__", None) or repr(setting))
