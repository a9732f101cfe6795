"""`python -m benchmarks`: everything, ours and the peers in one process, ratios printed and kept as JSON."""

from benchmarks import dense_gaussian, designs, path_against_simulation

for benchmark in (designs, dense_gaussian, path_against_simulation):
    benchmark.main()
