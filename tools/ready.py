"""A worker that has imported the libraries before it runs notebooks; see tools/notebooks.py.

A module of its own, because a notebook that runs puts another `__main__` in the place of the
script's, and a worker has to find its function again for the next notebook.
"""

import gc
import sys
from functools import lru_cache
from importlib import import_module
from pathlib import Path

from nbdev import test

ROOT = Path(__file__).resolve().parent.parent
RUN = test.test_nb


@lru_cache
def get_ready() -> None:
    "Import what most notebooks import; once in a process."
    sys.path.insert(0, str(ROOT))
    for name in ("synthflaw.study.study", "seaborn", "IPython.display"):
        import_module(name)
    gc.collect()
    gc.freeze()


def run_ready(*args, **kw) -> tuple:  # passed, seconds
    "Run a notebook in a worker that is ready."
    get_ready()
    return RUN(*args, **kw)
