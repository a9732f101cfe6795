"""Run every benchmark: our code and the peers in one process; print the ratios and keep them as JSON."""

from benchmarks import (
    cross_validation,
    dense_gaussian,
    designs,
    grokking_diagonal,
    growth,
    margins,
    order,
    path_against_simulation,
    real_data,
    softplus_net,
    sparse_path,
    startup,
    tiny_alpha,
)

_ALL = (
    designs,
    dense_gaussian,
    sparse_path,
    cross_validation,
    real_data,
    path_against_simulation,
    order,
    softplus_net,
    grokking_diagonal,
    tiny_alpha,
    growth,
    margins,
    startup,
)

for benchmark in _ALL:
    benchmark.main()
