"""The compiled path: one file, which is what numba's cache watches; one compilation; none in a second process."""

import subprocess
import sys

from tests.architecture._source import SOURCE, python_files

WALK = """
import numpy as np, implicitbias as ib
from scipy import sparse
from implicitbias.limits._path_kernels import walk
from implicitbias._core.linear_maps import ShiftedMap
X, y = np.array([[2.0, 0.0], [0.0, 1.0]]), [4.0, 1.0]
ib.saddle_path(ib.LeastSquares(X, y))
print(sum(walk.stats.cache_hits.values()), sum(walk.stats.cache_misses.values()))
ib.saddle_path(ib.LeastSquares(sparse.csc_array(X), y))
ib.saddle_path(ib.LeastSquares(ShiftedMap(sparse.csc_array(X), np.ones(2), np.ones(2)), y), start=[1.0, 0.0])
print(len(walk.signatures))
"""


def test_all_compiled_code_is_in_the_file_that_the_cache_watches() -> None:
    compiled = [
        file.name for file in python_files(SOURCE) if "numba import" in file.read_text(encoding="utf-8")
    ]
    assert compiled == ["_path_kernels.py"]


def test_a_second_process_does_not_compile_and_sparse_data_need_no_other_code() -> None:
    runs = [
        subprocess.run([sys.executable, "-c", WALK], capture_output=True, text=True, check=True, timeout=300)
        for _ in range(2)
    ]
    assert runs[1].stdout.split() == ["1", "0", "1"], runs[1].stderr
