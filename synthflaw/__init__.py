"""What synthetic question-answer data did to a language model, and how to repair it."""

__version__ = "0.1.0"

from importlib import import_module

from .door import DOORS, behind

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
_FOLDERS = ("evaluate", "study", "unlearn")  # they can be called: see `synthflaw.door`


def __getattr__(name):
    if name in _FOLDERS:
        return import_module(f"synthflaw.{name}")
    if name in DOORS:
        return behind(name)
    raise AttributeError(f"module 'synthflaw' has no attribute {name!r}")


def __dir__():
    return sorted({*globals(), *DOORS})
