"""Names of the nemesis' records in a history.

The nemesis writes them and the checkers read them. They stand here so that neither imports the other.
"""

from __future__ import annotations

from typing import Final

SCHEDULE: Final = "schedule"
"""The `f` of the op whose `data` lists the planned faults."""

START: Final = "start"
STOP: Final = "stop"
"""The `f` of the records that begin and end a fault."""

INJECT: Final = "inject"
IN_FORCE: Final = "in-force"
HEAL: Final = "heal"
HEALED: Final = "healed"
"""The phases of a fault. Each is an op whose `data` has phase, window, fault, proof and the time at which each node acted."""

VIEW: Final = "view"
"""The `f` of what the brokers reported about the cluster around a fault."""

BEFORE: Final = "before"
DURING: Final = "during"
AFTER: Final = "after"
"""The phases of a view."""

RECOVER: Final = "recover"
"""The `f` of the record of the cluster's recovery after the last fault."""

INTERRUPT: Final = "interrupt"
"""The `f` of the record that a signal ended the run early."""
