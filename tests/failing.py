"""Code that fails at its n-th step, for each n: what it leaves behind must be whole.

A step is a line of the code under test that is about to be run, or a call from there that has done its work and is
about to return. So it fails before, between and after all that it does, also where Keras does it for it. What puts
things back has no steps, in a `finally`, an `__exit__`, or the head of a `with`, where Python comes back to leave it:
nothing could put them back after that.
"""

import ast
import contextlib
import functools
import gc
import inspect
import itertools
import pathlib
import sys
from collections import Counter

UNSTOPPABLE = ("__del__", "__enter__")
"""What is raised in the first is lost; of the second, Python lets nothing come between its return and `with`."""


class FailureError(BaseException):
    """Stands for whatever may come at any time: `KeyboardInterrupt`, `MemoryError`, a callback's own error."""


class Steps:
    """The steps of code in some modules, of which one fails.

    Args:
        *modules: Names of modules, or of packages for all modules in them.
        most: How often the same step counts. Defaults to each time.
        every: Of how many steps one fails. Defaults to each.

    Attributes:
        place: Where it failed: module, line, and the function that was about to return, or nothing.
    """

    def __init__(self, *modules, most=None, every=1):
        self._modules = modules
        self._most = most
        self._every = every
        self._is_watched = {}  # by code
        self.place = None

    @contextlib.contextmanager
    def failing(self, number):
        """A context in which the step of a number fails, once: what runs after that, such as `except`, does not."""
        self._left, self._seen, self.place = number, Counter(), None
        before = sys.gettrace()
        sys.settrace(self._call)
        try:
            yield self
        finally:
            sys.settrace(before)

    def each(self):
        """Yields contexts that fail at the first step, at the next one, ..., until one gets through.

        Who uses it catches `FailureError`; `place` tells afterwards whether there was one.
        """
        for number in itertools.count(1, self._every):
            yield self.failing(number)
            if self.place is None:
                return

    def _call(self, frame, event, arg):
        watched = self._is_watched
        code = frame.f_code
        try:
            mine = watched[code]
        except KeyError:
            mine = watched[code] = self._is_in(frame)
        if mine:
            # of the many rounds of a comprehension, which changes nothing, the beginning is enough
            return None if code.co_name.startswith("<") else self._line
        caller = frame.f_back
        if caller is None or not watched.get(caller.f_code) or not _can_end_badly(code):
            return None
        frame.f_trace_lines = False
        return self._return

    def _line(self, frame, event, arg):
        is_called = event == "return" and self._is_watched.get(frame.f_back.f_code)
        if event == "line" or (is_called and _can_end_badly(frame.f_code)):
            self._step(frame, event, frame.f_lineno, "")
        return self._line

    def _return(self, frame, event, arg):
        if event == "return":
            self._step(frame, event, frame.f_back.f_lineno, frame.f_code.co_qualname)
        return self._return

    def _step(self, frame, event, line, returning):
        where = frame.f_back if returning else frame
        if line in _putting_back(where.f_code.co_filename):
            return
        key = frame.f_code, event, line
        self._seen[key] += 1
        if self._most is None or self._seen[key] <= self._most:
            self._left -= 1
            if not self._left:
                self.place = where.f_globals["__name__"], line, returning or event
                raise FailureError(*self.place)

    def _is_in(self, frame):
        name = frame.f_globals.get("__name__", "")
        if frame.f_code.co_filename.startswith("<"):  # what `dataclass` writes
            return False
        return any(name == each or name.startswith(f"{each}.") for each in self._modules)


@functools.cache
def _putting_back(path):
    """Returns the numbers of lines in a file of code that puts things back."""
    lines = set()
    for node in ast.walk(ast.parse(pathlib.Path(path).read_text())):
        body = getattr(node, "finalbody", [])
        if isinstance(node, ast.FunctionDef) and node.name == "__exit__":
            body = node.body
        for each in body:
            lines.update(range(each.lineno, each.end_lineno + 1))
        if isinstance(node, ast.With):
            lines.update(range(node.lineno, node.body[0].lineno))
    return lines


def _can_end_badly(code):
    """Tells whether what is raised when a function returns reaches its caller.

    Generators only wait; what is raised in a callback of garbage collection (Hypothesis has one) is lost.
    """
    if any(getattr(each, "__code__", None) is code for each in gc.callbacks):
        return False
    return code.co_name not in UNSTOPPABLE and not code.co_flags & inspect.CO_GENERATOR
