"""Numbers of conservation laws of random networks: `ib.conserved_quantities` against the known rules for them.

The networks are drawn as in the test of the authors of arXiv 2307.00144: 50 linear networks of 2 to 4 matrices with
sizes uniform in 2 to 5, and 50 ReLU networks of 2 to 4 matrices with sizes uniform in 2 to 9, half of them with hidden
biases. The authors report 41 s and 136 s for one network, on 64 cores. Compilation is included: the persistent cache
of compiled programs is switched off.
"""

import os
import sys
import time
from typing import Any

import jax
import numpy as np

import implicitbias as ib
from benchmarks._measure import machine
from implicitbias.studies._conservation_settings import drawn_linear, drawn_relu

NETWORKS = 50
# Seconds for one network in the paper's repository, on 64 cores.
LINEAR_SECONDS, RELU_SECONDS = 41.0, 136.0


def compare(name: str, draw: Any, paper_seconds: float, networks: int) -> None:
    rng = np.random.default_rng(0)
    seconds, cpu, equal, complete = [], [], 0, 0
    for _ in range(networks):
        network = draw(rng)
        jax.clear_caches()
        begin, begin_cpu = time.perf_counter(), time.process_time()
        found = ib.conserved_quantities(network.G, network.theta)
        seconds.append(time.perf_counter() - begin)
        cpu.append(time.process_time() - begin_cpu)
        equal += found.count == network.rule
        complete += found.complete
        if found.count != network.rule:
            print(
                f"  {[leaf.shape for leaf in jax.tree.leaves(network.theta)]}: {found.count}, rule {network.rule}"
            )
    print(
        f"{name}: {equal} of {networks} counts equal the rule, and the laws are complete for {complete} networks"
    )
    for words, ours in (("seconds", seconds), ("seconds of the processor", cpu)):
        ratio = paper_seconds / np.mean(ours)
        print(
            f"  {words}: mean {np.mean(ours):.2f}, largest {np.max(ours):.2f}; {ratio:.0f} x faster than the paper"
        )


def main() -> None:
    """Count the laws of all networks, and print equal counts and seconds."""
    os.environ["IMPLICITBIAS_COMPILE_CACHE"] = "off"
    print(machine())
    networks = int(sys.argv[1]) if len(sys.argv) > 1 else NETWORKS
    compare("linear", drawn_linear, LINEAR_SECONDS, networks)
    compare("ReLU", drawn_relu, RELU_SECONDS, networks)


if __name__ == "__main__":
    main()
