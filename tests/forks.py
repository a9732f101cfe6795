"""A server process that has the imports and forks the processes of tests, which begin at once."""

import multiprocessing

# Importing these takes some seconds of a processor, and forking a process that has them some hundredths.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(
    [
        "implicitbias.cli._path_files",
        "implicitbias.cli._path_job",
        "implicitbias.cli._path_print",
        "implicitbias.cli._path_run",
        "implicitbias.cli._study_run",
        "implicitbias.diagnostics",
        "implicitbias.estimators",
        "implicitbias.flows",
        "implicitbias.grokking",
        "implicitbias.limits._saddle_path",
        "implicitbias.plotting",
        "implicitbias.reports._bokeh_figures",
        "implicitbias.studies._report",
        "implicitbias.studies.sweeps",
        "tests.studies.fakes",
        "bokeh.resources",
        "dask.array",
        "h5netcdf",
        "matplotlib.backends.backend_agg",
        "matplotlib.backends.backend_pdf",
        "matplotlib.backends.backend_svg",
        "matplotlib.pyplot",
        "numba",
        "pyarrow.csv",
        "pydantic.fields",
        "pytest",
        "xarray",
        "zarr",
    ]
)
