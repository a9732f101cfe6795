"""The numbers below which the limits take something for rounding or for 0."""

import numpy as np

# The relative rounding of float64.
EPSILON = float(np.finfo(np.float64).eps)
# Singular values below this share of the largest one count as 0.
RANK = 1e-12
# The bound of the gap and of the residuals of certificates.
TOLERANCE = 1e-9
