"""Run every benchmark: our code and the peers in one process; print the ratios and keep them as JSON."""

from benchmarks import (
    cross_validation,
    dense_gaussian,
    dependent_columns,
    designs,
    grokking_diagonal,
    growth,
    large_data,
    margins,
    order,
    path_against_simulation,
    rates,
    reading,
    real_data,
    real_networks,
    relu,
    separable_flow,
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
    rates,
    real_data,
    separable_flow,
    path_against_simulation,
    order,
    softplus_net,
    real_networks,
    relu,
    grokking_diagonal,
    tiny_alpha,
    growth,
    large_data,
    margins,
    starts_and_rest,
    startup,
    wide_table,
    reading,
)

for benchmark in _ALL:
    benchmark.main()
