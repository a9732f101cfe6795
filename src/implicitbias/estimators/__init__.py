"""Estimators: the scikit-learn skin, and the only room besides `studies._data` that imports it."""
