"""Tests of the code itself: import rules, lazy imports, public names, habits, documentation."""
