"""Commands on the nodes over SSH: one connection per node, all nodes at once, with deadlines."""

from __future__ import annotations

import io
import json
import shlex
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, wait
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import fabric
import invoke
import paramiko

from jepsenvm.errors import MALFORMED, CommandError, RunError, UnreachableError, shorten, shown
from jepsenvm.machines.inventory_node import Node
from jepsenvm.machines.remote_source import source
from jepsenvm.machines.ssh_connection import new_connection, open_connection
from jepsenvm.machines.ssh_deadline import close_when_silent, closing_after
from jepsenvm.machines.ssh_route import Tunnel, ssh_route

T = TypeVar("T")

TASKS_PER_NODE: Final = 4
"""Commands that may run on one node at the same time. sshd allows ten sessions per connection."""

ENDS_S: Final = 0.5
"""Seconds in which a broken connection ends."""

GRACE_S: Final = 5.0
"""Seconds beyond its timeout after which a command that did not end loses its connection."""

LOGIN_STEPS: Final = 4
"""Steps of a login that may take the connect timeout each: TCP, banner, keys, authentication."""

TASK_S: Final = 900.0
"""Seconds after which a task on a node is given up. Its commands have shorter deadlines."""

INPUT_MARK: Final = "jepsenvm-begins"
"""The line that separates the password for sudo from the input of the command."""


@dataclass(frozen=True)
class Output:
    """The output of a command, and its exit status."""

    stdout: str
    stderr: str
    status: int


READY: Final = "ready\n"
"""What a program prints when it waits for its later input."""


@dataclass(frozen=True)
class LaterInput:
    """The rest of a program's standard input, which follows when the program is ready for it."""

    ready: Callable[[], None]
    """Called once, or more often, when the program has printed READY."""
    message: Callable[[], str | None]
    """Returns the rest, once: None for not yet, and nothing ("") for the end without it."""


class Fleet:
    """SSH connections to the nodes. Use it as a context manager."""

    def __init__(
        self, nodes: Sequence[Node], connect_timeout: float = 15, *, patience: float = 1.0
    ) -> None:
        """Prepare the connections; the first command on a node opens its connection.

        ``connect_timeout`` is in seconds. ``patience`` multiplies it and every command's timeout.
        """
        self.patience = patience
        self.nodes = {node.name: node for node in nodes}
        self._routes = {node.name: ssh_route(node) for node in nodes}
        self._tunnels: dict[str, Tunnel] = {}
        self._connections = {
            name: new_connection(route, connect_timeout * patience)
            for name, route in self._routes.items()
        }
        self._login_timeout = LOGIN_STEPS * connect_timeout * patience
        self._locks = {node.name: threading.Lock() for node in nodes}
        self._slots = {node.name: threading.BoundedSemaphore(TASKS_PER_NODE) for node in nodes}

    def __enter__(self) -> Fleet:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close every connection. Commands that still run fail."""
        for node in self._connections:
            self._close(node)

    def learn(self, node: Node) -> None:
        """Replace what is known of a node. Its route stays."""
        self.nodes[node.name] = node

    def forget(self, node: str) -> None:
        """Close the connection to a node that was switched off; the next command opens a new one.

        The connection itself would not notice that its host is off.
        """
        self._close(node)

    def run(
        self,
        node: str,
        script: str,
        *,
        timeout: float = 30,
        stdin: str = "",
        later: LaterInput | None = None,
        check: bool = True,
    ) -> Output:
        """Run a shell script as root on a node; ``timeout`` is in seconds.

        Its standard input is ``stdin``, and what ``later`` adds.

        Raise UnreachableError if the node does not answer in time, and CommandError if ``check`` is
        set and the exit status is not 0.
        """
        sudo, command, text = self._as_root(node, script, stdin)
        shell = f"{sudo}/bin/sh -c {shlex.quote(command)}"
        output = self._execute(node, shell, timeout, text, later)
        if check and output.status != 0:
            raise CommandError(
                _reason(output), node=node, command=shorten(script, limit=80), status=output.status
            )
        return output

    def plain(self, node: str, command: str, *, timeout: float = 30) -> Output:
        """Run a shell command as the SSH user, whatever its exit status."""
        return self._execute(node, command, timeout, "")

    def python(
        self,
        node: str,
        program: str,
        order: Mapping[str, Any] | None = None,
        timeout: float = 30,
        later: LaterInput | None = None,
    ) -> Any:
        """Run a program of ``machines.remote`` on a node; return the JSON that it prints.

        The program gets ``order`` as JSON on its standard input, and must read it to the end. With
        ``later``, the order is the first line, and more input follows when the program is ready.
        """
        script = f"exec {shlex.join(self.nodes[node].python)} -c {shlex.quote(source(program))}"
        stdin = f"{json.dumps(order)}\n" if order else ""
        output = self.run(node, script, timeout=timeout, stdin=stdin, later=later)
        stdout = output.stdout.removeprefix(READY)
        try:
            return json.loads(stdout)
        except (ValueError, RecursionError):
            raise RunError(
                f"the program {program} printed {shown(stdout)} instead of JSON", node=node
            ) from None

    def each(
        self,
        task: Callable[[str], T],
        nodes: Sequence[str] | None = None,
        deadline: float = TASK_S,
    ) -> dict[str, T]:
        """Run a task for all nodes, or for some, at once.

        When all tasks have ended, raise the error of the first that failed. A task that has not
        ended after ``deadline`` seconds has failed.
        """
        results: dict[str, T] = {}
        errors: list[Exception] = []
        for node, answer in self.each_or_error(task, nodes, deadline).items():
            if isinstance(answer, Exception):
                errors.append(answer)
            else:
                results[node] = answer
        if errors:
            raise errors[0]
        return results

    def each_or_error(
        self,
        task: Callable[[str], T],
        nodes: Sequence[str] | None = None,
        deadline: float = TASK_S,
    ) -> dict[str, T | Exception]:
        """Run a task for all nodes, or for some, at once; return a result or an error per node.

        A task that has not ended after ``deadline`` seconds is given up: its error is an
        UnreachableError. An answer that the task did not understand is a RunError.
        """
        futures: dict[str, Future[T]] = {
            node: _started(task, node) for node in (nodes if nodes is not None else self.nodes)
        }
        deadline *= self.patience
        ended, _ = wait(futures.values(), timeout=deadline)
        answers: dict[str, T | Exception] = {}
        for node, future in futures.items():
            if future in ended:
                answers[node] = _outcome(node, future)
            else:
                answers[node] = UnreachableError(f"no answer within {deadline:g} s", node=node)
        return answers

    def each_or_none(
        self, task: Callable[[str], T], nodes: Sequence[str] | None = None
    ) -> dict[str, T | None]:
        """Run a task for all nodes, or for some, at once; None for a node where it failed."""
        return without_errors(self.each_or_error(task, nodes))

    def script_each(self, scripts: Mapping[str, str], timeout: float = 30) -> dict[str, Output]:
        """Run each node's script on it, all at once."""
        return self.each(lambda node: self.run(node, scripts[node], timeout=timeout), list(scripts))

    def _as_root(self, node: str, script: str, stdin: str) -> tuple[str, str, str]:
        """Return the prefix for sudo, the script, and the input for both."""
        password = self.nodes[node].become_password
        sudo = shlex.join(self.nodes[node].sudo)
        if self._routes[node].user == "root":
            return "", script, stdin
        if password is None:
            return f"{sudo} -n ", script, stdin
        # sudo reads the password only if it needs one. The script skips the rest up to the mark.
        skip = f'while IFS= read -r line && [ "$line" != {INPUT_MARK} ]; do :; done'
        return f"{sudo} -S -p '' ", f"{skip}\n{script}", f"{password}\n{INPUT_MARK}\n{stdin}"

    def _execute(
        self,
        node: str,
        command: str,
        timeout: float,
        stdin: str,
        later: LaterInput | None = None,
    ) -> Output:
        timeout *= self.patience
        with self._slot(node, timeout):
            connection = self._open(node)
            began = time.monotonic()
            with closing_after(connection.transport.close, timeout + GRACE_S * self.patience):
                result = self._run(node, connection, command, timeout, stdin, later)
        if result.exited < 0:  # paramiko's status for a channel that was closed without one
            overdue = time.monotonic() - began >= timeout
            raise self._without_status(node, timeout if overdue else None)
        return Output(result.stdout, result.stderr, result.exited)

    def _without_status(self, node: str, timeout: float | None) -> RunError:
        """Return the error for a command that ended without a status.

        ``timeout`` is set if it has passed. Other commands keep a connection that is not broken.
        """
        if self._close_if_broken(node):
            return UnreachableError("the SSH connection broke during a command", node=node)
        if timeout is not None:  # invoke closes the channel, and does not always say so
            return _no_answer(node, timeout)
        return RunError("a command ended without a status: a signal killed it", node=node)

    def _run(
        self,
        node: str,
        connection: fabric.Connection,
        command: str,
        timeout: float,
        stdin: str,
        later: LaterInput | None,
    ) -> Any:
        try:
            return connection.run(
                command,
                hide=True,
                warn=True,
                timeout=timeout,
                in_stream=_InOnePiece(stdin, later) if stdin else False,
                watchers=[_Readiness(later.ready)] if later else [],
            )
        except invoke.exceptions.CommandTimedOut:
            raise _no_answer(node, timeout) from None
        except paramiko.ChannelException as problem:
            # sshd allows no more sessions: commands that exceeded their timeouts still run there.
            self._close(node)
            raise UnreachableError(f"the SSH connection is full: {problem}", node=node) from problem
        except (OSError, EOFError, paramiko.SSHException, AttributeError) as problem:
            # fabric has no transport any more (AttributeError) if another thread has closed it.
            self._close_if_broken(node)
            raise UnreachableError(f"the SSH connection broke: {problem}", node=node) from problem
        except invoke.exceptions.ThreadException as problem:
            # Usually the command ended before it had read its input.
            raise UnreachableError(
                "the command's input or output was cut off", node=node
            ) from problem

    @contextmanager
    def _slot(self, node: str, timeout: float) -> Iterator[None]:
        """Hold one of the node's slots for commands."""
        if not self._slots[node].acquire(timeout=timeout):
            raise UnreachableError(f"no command could be started within {timeout:.0f} s", node=node)
        try:
            yield
        finally:
            self._slots[node].release()

    def _open(self, node: str) -> fabric.Connection:
        connection, route = self._connections[node], self._routes[node]
        if not self._locks[node].acquire(timeout=self._login_timeout):
            raise UnreachableError("another SSH login to it does not end", node=node)
        try:
            if not connection.is_connected:
                self._close(node)
                if route.proxy:
                    self._tunnels[node] = Tunnel(route.proxy)
                    connection.connect_kwargs["sock"] = self._tunnels[node].sock
                with closing_after(connection.client.close, self._login_timeout):
                    open_connection(connection, node, route, self._tunnels.get(node))
                close_when_silent(connection.transport, self.patience)
        finally:
            self._locks[node].release()
        return connection

    def _close_if_broken(self, node: str) -> bool:
        """Close a node's connection if its transport has ended; return whether it had."""
        transport = self._connections[node].transport
        if transport is not None:
            # A transport that ends closes its channels before it says so.
            transport.join(ENDS_S)
        broken = transport is None or not transport.is_active()
        if broken:
            self._close(node)
        return broken

    def _close(self, node: str) -> None:
        self._connections[node].close()
        if tunnel := self._tunnels.pop(node, None):
            tunnel.close()


def _no_answer(node: str, timeout: float) -> UnreachableError:
    return UnreachableError(f"no answer within {timeout:.0f} s", node=node)


def without_errors(answers: Mapping[str, T | Exception]) -> dict[str, T | None]:
    """Return the answers of nodes with None in place of each error."""
    return {
        node: None if isinstance(answer, Exception) else answer for node, answer in answers.items()
    }


def _started(task: Callable[[str], T], node: str) -> Future[T]:
    """Start a task in a thread that delays neither other tasks nor the end of this process."""
    future: Future[T] = Future()

    def work() -> None:
        try:
            future.set_result(task(node))
        except BaseException as error:
            future.set_exception(error)

    # A ThreadPoolExecutor has a limited number of threads, and Python joins them when it exits.
    threading.Thread(target=work, name=f"ssh-{node}", daemon=True).start()
    return future


def _outcome(node: str, future: Future[Any]) -> Any:
    """Return the result of a task that has ended, or its error."""
    error = future.exception()
    if error is None:
        return future.result()
    if not isinstance(error, Exception):
        raise error
    if not isinstance(error, MALFORMED):
        return error
    problem = RunError(f"its answer was not understood: {shown(error)}", node=node)
    problem.__cause__ = error
    return problem


class _InOnePiece(io.StringIO):
    """Text that is sent at once. invoke reads one character at a time and sleeps after each.

    What ``later`` adds is sent when it is known.
    """

    def __init__(self, text: str, later: LaterInput | None = None) -> None:
        super().__init__(text)
        self._later = later

    def read(self, size: int | None = -1, /) -> str:  # noqa: ARG002 - deliberately ignored
        text = super().read()
        if text or self._later is None:
            return text
        message = self._later.message()
        if message is None:
            # To invoke, None is no input yet, and "" is its end. io.StringIO has no such answer.
            return None  # type: ignore[return-value]
        self._later = None
        return message


class _Readiness(invoke.watchers.StreamWatcher):
    """Reports that a program has printed READY."""

    def __init__(self, ready: Callable[[], None]) -> None:
        super().__init__()
        self._ready = ready

    def submit(self, stream: str) -> Iterable[str]:
        if stream.startswith(READY):
            self._ready()
        return ()


def _reason(output: Output) -> str:
    """Return a line that explains a failure: it begins with "error", or is the last."""
    lines = (output.stderr.strip() or output.stdout.strip() or "it printed nothing").splitlines()
    return next((line for line in lines if line.lower().startswith("error")), lines[-1])
