"""Grokking: when a model generalises long after it has fitted its training data.

Reference:
    boursier2025grokking; lyu2024dichotomy.

Examples:
    >>> import numpy as np, implicitbias as ib
    >>> t = np.geomspace(1.0, 1e6, 200)
    >>> log = {"t": t, "train_error": 0.5 / (1 + t**2), "test_error": 0.5 / (1 + (t / 1e4) ** 2)}
    >>> ib.grokking.phases(log).groks
    True
"""

from implicitbias.grokking._forecast import Forecast as Forecast
from implicitbias.grokking._forecaster import forecast_grokking as forecast_grokking
from implicitbias.grokking._interpolation_limit import interpolation_limit as interpolation_limit
from implicitbias.grokking._log_columns import read_log as read_log
from implicitbias.grokking._phases import Phases as Phases
from implicitbias.grokking._phases import phases as phases
