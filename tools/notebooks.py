"""Run the notebooks as `nbdev_test` does, with its options, in workers that are ready.

Every training of transformers looks for garbage among all objects of its process. Nearly all of
them belong to the libraries, and the notebooks train hundreds of small models. So a worker imports
the libraries once and leaves what they made out of the search.
"""

from nbdev import test
from ready import run_ready

if __name__ == "__main__":
    test.test_nb = run_ready
    test.nbdev_test()
