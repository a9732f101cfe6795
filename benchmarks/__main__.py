"""`python -m benchmarks`: everything, ours and the peers in one process, ratios printed and kept as JSON."""

from benchmarks import (
    dense_gaussian,
    designs,
    grokking_diagonal,
    growth,
    order,
    path_against_simulation,
    softplus_net,
    tiny_alpha,
)

_ALL = (
    designs,
    dense_gaussian,
    path_against_simulation,
    order,
    softplus_net,
    grokking_diagonal,
    tiny_alpha,
    growth,
)

for benchmark in _ALL:
    benchmark.main()
