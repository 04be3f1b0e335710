"""pyarrow without pandas.

At the first conversion pyarrow imports pandas, where it is installed, to recognise its objects: 0.4 s of CPU per job,
29 % of the whole audio and feature path at 480 clips (12.6 against 17.8 s). Here that conversion is made while pandas
cannot be imported. ``to_pandas`` works nevertheless.
"""

import sys

import pyarrow as pa
import pyarrow.parquet as pq

__all__ = ["pa", "pq"]

if "pandas" not in sys.modules:
    sys.modules["pandas"] = None  # an import of it raises ImportError
    try:
        pa.chunked_array([[0]]).to_numpy()
    finally:
        del sys.modules["pandas"]
