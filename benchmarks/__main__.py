"""Run every benchmark: our code and the peers in one process; print the ratios and keep them as JSON."""

from benchmarks import (
    cross_validation,
    dense_gaussian,
    dependent_columns,
    designs,
    grokking_diagonal,
    growth,
    margins,
    order,
    path_against_simulation,
    reading,
    real_data,
    softplus_net,
    sparse_path,
    starts_and_rest,
    startup,
    tiny_alpha,
    wide_table,
)

_ALL = (
    designs,
    dense_gaussian,
    dependent_columns,
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
    starts_and_rest,
    startup,
    wide_table,
    reading,
)

for benchmark in _ALL:
    benchmark.main()
