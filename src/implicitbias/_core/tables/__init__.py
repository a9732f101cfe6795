"""Tables as names and numbers: data frames of any library, and files of many formats."""

from implicitbias._core.tables._cleaning import IMPUTATIONS as IMPUTATIONS
from implicitbias._core.tables._cleaning import Cleaning as Cleaning
from implicitbias._core.tables._cleaning import Retry as Retry
from implicitbias._core.tables._file import STANDARD_INPUT as STANDARD_INPUT
from implicitbias._core.tables._file import stem as stem
from implicitbias._core.tables._file import typed_path as typed_path
from implicitbias._core.tables._frames import FrameArrays as FrameArrays
from implicitbias._core.tables._frames import frame_arrays as frame_arrays
from implicitbias._core.tables._frames import is_frame as is_frame
from implicitbias._core.tables._frames import is_series as is_series
from implicitbias._core.tables._frames import series_array as series_array
from implicitbias._core.tables._numeric_columns import numeric_columns as numeric_columns
from implicitbias._core.tables._numeric_columns import read_columns as read_columns
from implicitbias._core.tables._parquet import write_parquet as write_parquet
from implicitbias._core.tables._recipe import Input as Input
from implicitbias._core.tables._recipe import Recipe as Recipe
from implicitbias._core.tables._table import Table as Table
from implicitbias._core.tables._table import read_rows as read_rows
from implicitbias._core.tables._table import read_table as read_table
from implicitbias._core.tables._words import some as some
