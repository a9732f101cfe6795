"""Grokking: the interpolation limit and forecasts for a user's own model. The room stands; its work is not here yet."""
