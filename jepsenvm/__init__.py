"""Tell whether a RabbitMQ cluster loses, duplicates, reorders or invents messages that it confirmed.

These names are the public API; everything else may change.
"""

from importlib.metadata import version

from jepsenvm.checkers.total_queue import total_queue
from jepsenvm.checkers.verdict import Result, Results, Verdict, check
from jepsenvm.errors import JepsenvmError, RunError, UsageError
from jepsenvm.history.op import Op
from jepsenvm.history.readers import open_history
from jepsenvm.history.table import History, from_ops
from jepsenvm.plan.plan import Plan

__version__ = version("jepsenvm")

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
