"""This folder can be called: see `synthflaw.door`."""

from ..door import make_callable

make_callable(__name__)
