"""Run the notebooks as `nbdev_test` does, with its options, in workers that are ready.

Every training of transformers looks for garbage among all objects of its process. Nearly all of
them belong to the libraries, and the notebooks train hundreds of small models. So a worker imports
the libraries once and leaves what they made out of the search.
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


if __name__ == "__main__":
    test.test_nb = run_ready
    test.nbdev_test()
