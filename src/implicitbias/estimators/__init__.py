"""Estimators with scikit-learn's interface. Only this folder and `studies._data` import scikit-learn."""

from implicitbias.estimators._folds import splitter as splitter
from implicitbias.estimators._max_margin_classifier import MaxMarginClassifier as MaxMarginClassifier
from implicitbias.estimators._prepare import Prepared as Prepared
from implicitbias.estimators._prepare import prepare as prepare
from implicitbias.estimators._regressor import SaddlePathRegressor as SaddlePathRegressor
from implicitbias.estimators._regressor_cv import SaddlePathRegressorCV as SaddlePathRegressorCV
