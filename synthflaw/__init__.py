"""What synthetic question-answer data did to a language model, and how to repair it."""

__version__ = "0.1.0"

from .door import DOORS, behind

__all__ = [*DOORS]


def __getattr__(name):
    if name not in DOORS:
        raise AttributeError(f"module 'synthflaw' has no attribute {name!r}")
    if name in ("unlearn", "evaluate", "study"):  # folders that can be called
        from importlib import import_module

        return import_module(f"synthflaw.{name}")
    return behind(name)


def __dir__():
    return sorted({*globals(), *DOORS})
