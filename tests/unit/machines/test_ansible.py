"""From ansible-runner's events, as recorded from real runs, to what the user reads."""

from typing import Any

import pytest

from jepsenvm.errors import RunError, UsageError
from jepsenvm.machines.ansible import playbooks
from jepsenvm.machines.ansible_progress import Counts, PlaybookProgress

REACH = 'Task failed: Data could not be sent to remote host "10.0.0.9". Make sure this host can be reached over ssh: '
HIDDEN = {
    "censored": "the output has been hidden due to the fact that 'no_log: true' was specified for this result"
}


def event(kind: str, host: str = "n1", task: str = "Learn", **res: Any) -> dict[str, Any]:
    return {
        "event": kind,
        "pid": 1,
        "stdout": "",
        "event_data": {"host": host, "task": task, "role": "r", "res": res},
    }


def story(*events: dict[str, Any]) -> PlaybookProgress:
    heard = PlaybookProgress("deploy", lambda _text: None)
    for each in events:
        assert heard.handle(each) is False  # no file is kept of it
    heard.end_task()
    return heard


def test_a_line_of_counts_for_each_task(caplog: pytest.LogCaptureFixture) -> None:
    story(
        event("playbook_on_task_start", task="Validating arguments against arg spec"),
        event("runner_on_ok", changed=False),
        event("playbook_on_task_start", task="Install"),
        event("runner_on_ok", "n1", changed=True),
        event("runner_on_ok", "n2", changed=False),
        event("playbook_on_task_start", task="Nobody's"),
        event("runner_on_skipped"),
    )
    assert caplog.messages == ["deploy: r : Install (2 ok, 1 changed)"]


def test_recap_is_ansibles_own() -> None:
    stats = {
        "processed": {"n10": 1, "n2": 1},
        "ok": {"n2": 5},
        "changed": {"n2": 3},
        "failures": {},
        "dark": {"n10": 1},
        "artifact_data": {"rabbitmq_version": "3.10.8"},
    }
    heard = story({"event": "playbook_on_stats", "event_data": stats})
    assert heard.recap.nodes == {"n2": Counts(ok=5, changed=3), "n10": Counts(unreachable=1)}
    assert list(heard.recap.nodes) == ["n2", "n10"]
    assert heard.recap.changed == 3
    assert heard.recap.stats == {"rabbitmq_version": "3.10.8"}


@pytest.mark.parametrize(
    ("kind", "res", "says"),
    [
        (
            "runner_on_unreachable",
            {"msg": REACH + "ssh: connect to host 10.0.0.9 port 22: No route to host"},
            "n1: ssh: connect to host 10.0.0.9 port 22: No route to host (task 'Learn'); check that it is up",
        ),
        (
            "runner_on_unreachable",
            {"msg": REACH + "jepsen@10.0.0.9: Permission denied (publickey)."},
            "n1: jepsen@10.0.0.9: Permission denied (publickey). (task 'Learn'); check ansible_user and",
        ),
        (
            "runner_on_unreachable",
            {
                "msg": "Task failed: Failed to connect to the host via ssh: Host key verification failed."
            },
            "n1: Host key verification failed. (task 'Learn'); check the host's key",
        ),
        (
            "runner_on_failed",
            {"msg": "Task failed: Missing sudo password"},
            "n1: Missing sudo password (task 'Learn'); let the user sudo",
        ),
        (
            "runner_on_failed",
            {"msg": "The module interpreter '/usr/bin/python9' was not found."},
            "install python3, or set ansible_python_interpreter",
        ),
        (
            "runner_on_failed",
            {
                "msg": "non-zero return code",
                "stderr": "working\nls: cannot access '/none': No such file\n",
            },
            "n1: ls: cannot access '/none': No such file (task 'Learn')",
        ),
        (
            "runner_on_failed",
            {
                "msg": "One or more items failed",
                "results": [{"failed": False}, {"failed": True, "msg": "second"}],
            },
            "n1: second (task 'Learn')",
        ),
        ("runner_on_failed", HIDDEN, "n1: failed, and its output is kept secret (task 'Learn')"),
        (
            "runner_on_failed",
            {"msg": "the disk is full; free some space"},
            "n1: the disk is full; free some space (task 'Learn')",
        ),
    ],
)  # fmt: skip - a case in two lines
def test_a_failure_is_one_line_with_a_remedy(kind: str, res: dict[str, Any], says: str) -> None:
    error = story(event(kind, **res)).error(4)
    assert says in str(error)
    assert "\n" not in str(error)


def test_it_is_refused_until_something_was_changed_and_failed_from_then_on() -> None:
    trouble = event("runner_on_failed", msg="no")
    assert isinstance(story(event("runner_on_ok", changed=False), trouble).error(2), UsageError)
    assert isinstance(story(event("runner_on_ok", changed=True), trouble).error(2), RunError)
    assert isinstance(story(event("runner_on_ok", **HIDDEN), trouble).error(2), RunError)


def test_nodes_with_the_same_trouble_share_a_line() -> None:
    denied = [
        event("runner_on_unreachable", f"n{i}", msg=f"{REACH}a@10.0.0.{i}: Permission denied (x)")
        for i in (10, 2)
    ]
    error = story(*denied, event("runner_on_failed", "n3", msg="other")).error(4)
    assert str(error).startswith("n2, n10: a@10.0.0.10: Permission denied")
    assert "and n3: other)" in str(error)


def test_an_ignored_failure_is_no_trouble() -> None:
    ignored = event("runner_on_failed", msg="no")
    ignored["event_data"]["ignore_errors"] = True
    assert story(ignored).failures == []


def test_ansibles_own_complaint_when_no_task_failed() -> None:
    heard = story(
        {
            "event": "verbose",
            "stdout": "[ERROR]: 'taskz' is not a valid attribute for a Play\r\nOrigin: x",
        }
    )
    assert "'taskz' is not a valid attribute for a Play" in str(heard.error(4))


def test_the_playbooks_are_found() -> None:
    assert (playbooks() / "site.yml").is_file()
