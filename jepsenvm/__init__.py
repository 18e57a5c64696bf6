"""Check whether a RabbitMQ cluster loses, duplicates, reorders or invents confirmed messages.

The names in ``__all__`` are the public API. Everything else may change. A name is imported when
it is first used (PEP 562), because the checkers need libraries that ``jepsenvm --help`` does not
need.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jepsenvm.checkers.total_queue import total_queue
    from jepsenvm.checkers.verdict import Result, Results, Verdict, check
    from jepsenvm.errors import JepsenvmError, RunError, UsageError
    from jepsenvm.history.op import Op
    from jepsenvm.history.readers import open_history
    from jepsenvm.history.table import History, from_ops
    from jepsenvm.plan.plan import Plan

    __version__: str

__all__ = [
    "History",
    "JepsenvmError",
    "Op",
    "Plan",
    "Result",
    "Results",
    "RunError",
    "UsageError",
    "Verdict",
    "check",
    "from_ops",
    "open_history",
    "total_queue",
]

_MODULES = {
    "History": "jepsenvm.history.table",
    "JepsenvmError": "jepsenvm.errors",
    "Op": "jepsenvm.history.op",
    "Plan": "jepsenvm.plan.plan",
    "Result": "jepsenvm.checkers.verdict",
    "Results": "jepsenvm.checkers.verdict",
    "RunError": "jepsenvm.errors",
    "UsageError": "jepsenvm.errors",
    "Verdict": "jepsenvm.checkers.verdict",
    "check": "jepsenvm.checkers.verdict",
    "from_ops": "jepsenvm.history.table",
    "open_history": "jepsenvm.history.readers",
    "total_queue": "jepsenvm.checkers.total_queue",
}

# Type checkers read the imports above. They would accept any name if they saw this function.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        if name == "__version__":
            value = import_module("importlib.metadata").version("jepsenvm")
        elif name in _MODULES:
            value = getattr(import_module(_MODULES[name]), name)
        else:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, "__version__"})
