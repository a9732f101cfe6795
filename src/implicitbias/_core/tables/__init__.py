"""Tables as names and numbers: data frames of any library, and files of many formats."""

from implicitbias._core.tables._frames import FrameArrays as FrameArrays
from implicitbias._core.tables._frames import frame_arrays as frame_arrays
from implicitbias._core.tables._frames import is_frame as is_frame
from implicitbias._core.tables._frames import is_series as is_series
from implicitbias._core.tables._frames import series_array as series_array
from implicitbias._core.tables._words import some as some
