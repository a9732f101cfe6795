"""Grokking: the phases of training with a small weight decay.

Reference:
    boursier2025grokking.
"""

from implicitbias.grokking._interpolation_limit import interpolation_limit as interpolation_limit
