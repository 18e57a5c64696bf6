"""The lock of a cluster: one controller at a time uses its hosts, wherever it runs.

Every host has a lock of its own (``remote.cluster_lock``). So two inventories conflict as soon as
they share a host, whatever they call it. The owner renews its locks while it lives; without that,
they expire.
"""

from __future__ import annotations

import ipaddress
import logging
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from jepsenvm.errors import JepsenvmError, RunError, UsageError
from jepsenvm.machines.lock_owner import LockOwner
from jepsenvm.machines.ssh import Fleet

logger = logging.getLogger(__name__)

LEASE_S: Final = 60.0
"""Seconds after which a lock that is not renewed expires."""

RENEW_EVERY_S: Final = 10.0

ANSWER_S: Final = 10.0
"""Seconds that a host has for an answer about its lock."""

REFUSALS: Final = 3
"""A lock is lost when a host has refused its renewal this many times in a row.

One refusal is not enough: another controller may take a host that has just booted, find that the
next host is locked, and release what it took.
"""


@dataclass(frozen=True)
class Held:
    """The lock of one host."""

    node: str
    owner: LockOwner
    left: float
    """Seconds after which it expires unless the owner renews it."""

    def error(self, alternative: str = "") -> UsageError:
        """Return the error for a command that needs this host; ``alternative`` ends the remedy."""
        if self.owner.is_on_this_machine:
            remedy = f"wait until it ends, or end it with `kill {self.owner.pid}`"
        else:
            remedy = (
                "wait until it ends, or end it there; if its machine is gone, its lock expires in "
                f"{self.left:.0f} s"
            )
        if alternative:
            remedy += f"; {alternative}"
        return UsageError(f"in use by {self.owner.describe()}", node=self.node, remedy=remedy)


def held_locks(fleet: Fleet) -> list[Held]:
    """Return the locks that living owners hold. A host that does not answer is skipped."""
    answers = fleet.each_or_error(lambda node: _ask(fleet, node, {"act": "read"}))
    held = (
        _held(node, answer) for node, answer in answers.items() if not isinstance(answer, Exception)
    )
    return [lock for lock in held if lock is not None and not lock.owner.is_dead]


class ClusterLock:
    """The lock of a cluster for this process. Use it as a context manager, and call ``take``.

    Leaving the context releases every host's lock.
    """

    def __init__(self, fleet: Fleet, purpose: str, folder: Path | None = None) -> None:
        """Prepare the lock; ``purpose`` is the command, ``folder`` the folder of its run."""
        self.owner = LockOwner.of_this_process(purpose, folder)
        self._fleet = fleet
        self._lost: str | None = None
        self._released = threading.Event()
        self._renewing: list[threading.Thread] = []

    def __enter__(self) -> ClusterLock:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release()

    def take(self, *, skip_silent: bool = False) -> None:
        """Take the lock of every host, or of none; raise UsageError if another process has one.

        A host that does not answer is an error, unless ``skip_silent``. The lock is renewed from
        now on.
        """
        locks = self._read(skip_silent=skip_silent)
        for lock in locks.values():
            if lock is not None and not lock.owner.is_dead:
                raise lock.error()
        tried: list[str] = []
        refused = None
        try:
            # In the order of their addresses, which all inventories have in common. So of two
            # controllers that begin at the same moment, one gets all hosts.
            for node in sorted(locks, key=self._address):
                dead = locks[node]
                tried.append(node)
                refused = self._take(node, dead.owner.token if dead else None)
                if refused is not None:
                    break
        except BaseException:
            # Also the last host that was tried: it may have acted, and only its answer be lost.
            self._release(tried)
            raise
        if refused is not None:
            self._release(tried)
            raise refused.error()
        self._renewing = [
            threading.Thread(target=self._renew, args=(node,), name=f"lock {node}", daemon=True)
            for node in self._fleet.nodes
        ]
        for thread in self._renewing:
            thread.start()

    def require_held(self) -> None:
        """Raise RunError if another process has taken a host's lock over."""
        if self._lost is not None:
            raise RunError(
                f"the lock of this cluster was lost: {self._lost}", remedy="run again later"
            )

    def release(self) -> None:
        """Stop the renewals, and release every host's lock. A host that is silent keeps its own.

        That lock expires.
        """
        self._released.set()
        if not self._renewing:
            return
        # A renewal that a host receives after the release would take the lock again.
        until = time.monotonic() + ANSWER_S * self._fleet.patience
        for thread in self._renewing:
            thread.join(max(0.0, until - time.monotonic()))
        self._renewing = []
        self._release(list(self._fleet.nodes))

    def _read(self, *, skip_silent: bool) -> dict[str, Held | None]:
        """Return the lock of each host; None if it is free."""
        answers = self._fleet.each_or_error(lambda node: _ask(self._fleet, node, {"act": "read"}))
        locks = {}
        for node, answer in answers.items():
            if isinstance(answer, Exception):
                if skip_silent:
                    continue
                raise answer
            locks[node] = _held(node, answer)
        return locks

    def _address(self, node: str) -> tuple[int, int]:
        address = ipaddress.ip_address(self._fleet.nodes[node].cluster_address)
        return address.version, int(address)

    def _take(self, node: str, replaced: str | None = None) -> Held | None:
        """Take or renew a host's lock; return the lock of the owner that has it instead."""
        order = {
            "act": "take",
            "owner": self.owner.as_data(),
            "lease": LEASE_S * self._fleet.patience,
            "replace": replaced,
        }
        lock = _held(node, _ask(self._fleet, node, order))
        return None if lock is not None and lock.owner.token == self.owner.token else lock

    def _renew(self, node: str) -> None:
        """Renew one host's lock until the release.

        Each host has a thread of its own, so a frozen host does not delay the others. A host that
        was switched off has no lock after its boot, and gets it again.
        """
        refusals = 0
        while not self._released.wait(RENEW_EVERY_S * self._fleet.patience):
            try:
                refused = self._take(node)
            except Exception:  # noqa: S112 - a fault may cut the host off; the next renewal follows
                continue
            refusals = refusals + 1 if refused is not None else 0
            if refused is not None and refusals >= REFUSALS:
                self._lost = f"{node} is now in use by {refused.owner.describe()}"
                return

    def _release(self, nodes: Sequence[str]) -> None:
        order = {"act": "release", "owner": self.owner.as_data()}
        answers = self._fleet.each_or_error(lambda node: _ask(self._fleet, node, order), nodes)
        for node, answer in answers.items():
            if isinstance(answer, JepsenvmError):
                logger.info(
                    f"{node}: its lock could not be released ({answer.message}); it expires within "
                    f"{LEASE_S * self._fleet.patience:.0f} s"
                )


def _ask(fleet: Fleet, node: str, order: Mapping[str, Any]) -> Any:
    return fleet.python(node, "cluster_lock", order, timeout=ANSWER_S)


def _held(node: str, answer: Any) -> Held | None:
    """Return the lock that a host's answer describes; None if the lock is free."""
    try:
        if answer["owner"] is None:
            return None
        return Held(node, LockOwner.from_data(answer["owner"]), float(answer["left"]))
    except (TypeError, KeyError, ValueError, AttributeError):
        raise UsageError(
            "gave an answer about its lock that is not understood",
            node=node,
            remedy="remove /run/jepsenvm.lock there if no run uses the cluster",
        ) from None
