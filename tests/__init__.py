"""Tests: the tree of the source, plus laws/, agreements/, oracles/ and architecture/."""
