"""Problems: a loss over an effective predictor w, with the data it is made of."""

from implicitbias.problems._least_squares import LeastSquares as LeastSquares
