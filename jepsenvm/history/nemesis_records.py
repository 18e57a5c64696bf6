"""Names that the nemesis writes into a history and the checkers read.

They are defined in this package so that the nemesis and the checkers do not import each other.
"""

from __future__ import annotations

from typing import Final

SCHEDULE: Final = "schedule"
"""The ``f`` of the record that lists the planned faults in its ``data``."""

START: Final = "start"
STOP: Final = "stop"
"""The ``f`` of the records that begin and end a fault."""

INJECT: Final = "inject"
IN_FORCE: Final = "in-force"
HEAL: Final = "heal"
HEALED: Final = "healed"
"""The phases of a fault, one record each.

The ``data`` of such a record has the keys:

- ``phase``: one of these names;
- ``window``: the number of the fault;
- ``fault``: the fault itself (kind, name, text, nodes, grudge);
- ``proof``: the evidence that was measured, by phase;
- ``fired``: the time at which each node acted, in nanoseconds since the run began;
- ``skew-ms``: milliseconds between the first node and the last to act;
- ``stops-load``: whether the fault is expected to keep every publisher from being confirmed;
- ``isolates-nodes``: whether the fault cuts all traffic between groups of nodes;
- ``stops-replicas``: whether a queue confirms nothing if all of its replicas are on the fault's
  nodes;
- ``endangers-s``: seconds before the fault in which something must have been acknowledged, or there
  was nothing that it could lose; null if that does not matter.
"""

OLD_ISOLATING_KINDS: Final = ("partition", "flapping")
"""Kinds of faults that cut all traffic between groups of nodes, in runs of older versions.

Their records have no key ``isolates-nodes``. Do not extend this list: newer records have the key.
"""

VIEW: Final = "view"
"""The ``f`` of the records of what the brokers reported about the cluster around a fault."""

BEFORE: Final = "before"
DURING: Final = "during"
AFTER: Final = "after"
"""The phases of a view."""

RECOVER: Final = "recover"
"""The ``f`` of the record of the cluster's recovery after the last fault."""

RESTARTED_QUEUES: Final = "restarted-queues"
"""The key, in the data of a recovery, of the queues that its restarts may have emptied.

A run with several queues has it. Its value lists the numbers of the queues of which jepsenvm
restarted every node with a replica, and of those whose replicas are unknown.
"""

BINDINGS: Final = "bindings"
"""The ``f`` of the record of which of the run's bindings the nodes list after the drain.

Its ``data`` has the keys:

- ``declared``: the number of bindings that the run declared;
- ``missing-count``, ``missing``: how many a node does not list, and the first ones, each with its
  ``queue``, ``exchange``, ``key`` and the ``nodes`` without it;
- ``silent``: why a node did not list its bindings, by node.
"""

INTERRUPT: Final = "interrupt"
"""The ``f`` of the record that a signal ended the run early."""

LOAD_PROCESS: Final = "load-process"
"""The ``f`` of the record that a load process ended or died.

Its ``data`` has its number (``load-process``, from 1) and the number of all (``of``). If it died,
``died`` says how, and ``in-flight`` is the number of its ops that are in doubt.
"""

ABOUT: Final = "jepsenvm"
"""The key that ``jepsenvm export`` adds to the first op of a text.

Its value is a map with the ``plan`` of the run as YAML and the ``damage`` of the history, if it has
them.
"""

ENDED: Final = "jepsenvm-end"
"""The key that ``jepsenvm export`` adds to the last op of a complete text: the number of ops."""
