"""pyarrow without pandas.

The first conversion makes pyarrow import pandas where it is installed, to recognise pandas objects. That takes 0.4 s
of CPU per job, most of a short job (MEASURED). Here the first conversion happens while pandas appears to be missing; `to_pandas` still works.
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
