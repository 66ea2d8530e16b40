"""How the tests are run: the longest file first, so that two processes end at the same time."""

import gc


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: "test_study" not in item.nodeid)


def pytest_collection_finish():
    "Leave out of the search for garbage what was imported: every training searches all the rest."
    gc.collect()
    gc.freeze()
