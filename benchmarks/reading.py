"""Reading a CSV of 300 000 rows and 20 columns: `read_table` of the command line against `pandas.read_csv`.

Both read the same file in turn, in one process, and the values are compared. `read_table` also checks the table. It
returns while the SHA-256 of the file is computed; the last column has the time with it.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas

from implicitbias._core.tables import read_table


def seconds(work: object) -> tuple[float, object]:
    start = time.perf_counter()
    result = work()  # type: ignore[operator]
    return time.perf_counter() - start, result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=300_000)
    parser.add_argument("--columns", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=9)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    values = rng.standard_normal((options.rows, options.columns))
    names = [f"x{j}" for j in range(options.columns)]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "data.csv")
        pandas.DataFrame(values, columns=names).to_csv(file, index=False)
        ours, hashed, theirs = [], [], []
        for _ in range(options.repeats):
            spent, table = seconds(lambda: read_table(file, names[-1]))
            waited, _ = seconds(lambda: table.digest)  # noqa: B023
            ours.append(spent)
            hashed.append(spent + waited)
            spent, frame = seconds(lambda: pandas.read_csv(file))
            theirs.append(spent)
            assert np.array_equal(np.column_stack([table.X, table.y]), values)
            assert np.array_equal(frame.to_numpy(), values)
        size = file.stat().st_size / 1e6
    print(f"{options.rows} x {options.columns}, {size:.0f} MB, least and median of {options.repeats}")
    for name, times in (
        ("pandas.read_csv", theirs),
        ("read_table", ours),
        ("read_table and SHA-256", hashed),
    ):
        ratio = np.min(times) / np.min(theirs), np.median(times) / np.median(theirs)
        print(
            f"{name:24} {np.min(times):6.3f} s {np.median(times):6.3f} s   ratio {ratio[0]:.2f}, {ratio[1]:.2f}"
        )


if __name__ == "__main__":
    main()
