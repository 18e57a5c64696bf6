"""What every tier of the tests shares."""

import signal
from typing import Any

from hypothesis import settings

# A shared machine is sometimes slow, so the duration of an example proves nothing.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
# A check of a commit must give the same result each time. Other runs try other examples.
settings.register_profile("repeatable", deadline=None, derandomize=True)

# A shell lets programs in the background ignore SIGINT, and nohup SIGHUP. The tests send signals.
DEFAULT_HANDLERS: dict[signal.Signals, Any] = {
    signal.SIGINT: signal.default_int_handler,
    signal.SIGTERM: signal.SIG_DFL,
    signal.SIGHUP: signal.SIG_DFL,
}
for number, handler in DEFAULT_HANDLERS.items():
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, handler)
