"""What synthetic question-answer data did to a language model, and how to repair it."""

__version__ = "0.1.0"

from importlib import import_module

from .door import DOORS, FOLDERS, behind

__all__ = [
    "diagnose",
    "evaluate",
    "load_documents",
    "load_lm",
    "repair",
    "study",
    "synthesize",
    "unlearn",
]


def __getattr__(name):
    if name in FOLDERS:
        return import_module(f"synthflaw.{name}")
    if name in DOORS:
        return behind(name)
    raise AttributeError(f"module 'synthflaw' has no attribute {name!r}")


def __dir__():
    return sorted({*globals(), *DOORS})
