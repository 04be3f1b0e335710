"""pyarrow without pandas.

When it first makes or converts a table, pyarrow looks whether it was given something of pandas, and for that loads
pandas where there is one: a third of a second, more than all else that a short step loads. So it is made to look
here, where pandas seems to be missing. Whoever calls ``to_pandas`` still gets it.
"""

import sys

import pyarrow as pa
import pyarrow.parquet as pq

__all__ = ["pa", "pq"]


class _NoPandas:
    def find_spec(self, name, path=None, target=None):
        if name == "pandas":
            raise ModuleNotFoundError(name)


if "pandas" not in sys.modules:
    sys.meta_path.insert(0, _NoPandas())
    try:
        pa.chunked_array([[0]]).to_numpy()
    finally:
        del sys.meta_path[0]
