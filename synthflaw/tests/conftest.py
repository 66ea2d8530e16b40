"""How the tests are run: the longest file first, so that two processes end at the same time."""


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: "test_study" not in item.nodeid)
