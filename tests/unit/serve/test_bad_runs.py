"""Runs that are damaged, cut short, older, of another program or still going on."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from jepsenvm.experiment.resumption import FILE as RESUME
from jepsenvm.experiment.store import ENVIRONMENT, HISTORY, LOG, PLAN, REPORT, RESULTS
from tests.unit.serve.conftest import Client
from tests.unit.serve.stores import FIRST, small_run, still_going_on

RUN = f"/store/queue/{FIRST}"


@pytest.fixture
def run(store: Path) -> Path:
    return small_run(store)


def shown(client: Client) -> str:
    """Return the page of the run; the list, the report and the zip must be there as well."""
    session = client()
    assert f'href="{RUN}/"' in session.get("/").text
    report = session.get(f"{RUN}/report.html")
    assert report.status_code == 200
    assert "<title>" in report.text
    assert session.get(f"{RUN}/run.zip").status_code == 200
    page = session.get(f"{RUN}/")
    assert page.status_code == 200
    return page.text


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        (PLAN, f"There is no {PLAN}: the workload and the settings are not known."),
        (HISTORY, f"There is no {HISTORY}: the load did not begin"),
        (RESULTS, f"There is no {RESULTS}: the run has no verdict yet"),
        (ENVIRONMENT, f"There is no {ENVIRONMENT}: versions"),
        (LOG, f"There is no {LOG}: the progress"),
    ],
)
def test_a_missing_file_is_named(client: Client, run: Path, name: str, sentence: str) -> None:
    assert sentence not in shown(client)
    (run / name).unlink()
    assert sentence in shown(client)


def test_what_a_small_run_lacks_is_named(client: Client, run: Path) -> None:
    page = shown(client)
    for name in (RESUME, REPORT, "logs of the brokers"):
        assert f"no {name}" in page


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        (PLAN, b"a: [", "The plan cannot be read: plan.yml: not readable as YAML"),
        (PLAN, b"\xff\xfe", "The plan cannot be read"),
        (PLAN, b"- 1", "The plan cannot be read"),
        (RESULTS, b'{"verdict": "va', f"{RESULTS} cannot be read"),
        (RESULTS, b"[]", f"{RESULTS} cannot be read"),
        (RESULTS, b'{"verdict": ["valid"]}', f"{RESULTS} cannot be read"),
        (RESULTS, b"[" * 100_000, f"{RESULTS} cannot be read"),
        (RESULTS, b'{"valid?": true}', "or an older version wrote it"),
        (HISTORY, b"", "no checksums: an older version wrote it, or it is damaged"),
        (HISTORY, b"nonsense", "The history is not closed: the run ended before."),
    ],
)
def test_a_damaged_file_is_named(
    client: Client, run: Path, name: str, content: bytes, sentence: str
) -> None:
    (run / name).write_bytes(content)
    assert sentence in shown(client)
    assert ("VALID" in client().get("/").text) is (name != RESULTS)


def test_a_history_that_is_cut_short_is_named(client: Client, run: Path) -> None:
    whole = (run / HISTORY).read_bytes()
    (run / HISTORY).write_bytes(whole[:-9])
    assert "The history is not closed: the run ended before." in shown(client)
    (still_going_on(run) / RESULTS).unlink()
    assert "The history is not closed: the run is going on." in shown(client)


def test_only_the_last_segment_of_a_resumed_run_must_be_closed(client: Client, run: Path) -> None:
    whole = (run / HISTORY).read_bytes()
    (run / HISTORY).write_bytes(whole[:-9])
    (run / "history-2.arrow").write_bytes(whole)
    page = client().get(f"{RUN}/").text
    assert "not closed" not in page


@pytest.mark.parametrize(("age", "state"), [(-86_400, "GOING ON"), (86_400, "NO VERDICT")])
def test_a_run_without_a_verdict_is_followed(
    client: Client, run: Path, age: int, state: str
) -> None:
    (run / RESULTS).unlink()
    moment = time.time() - age
    for file in run.iterdir():
        os.utime(file, (moment, moment))
    page = shown(client)
    assert f">{state}</span>" in page
    assert 'id="follow"' in page
    assert "/assets/follow.js" in page


def test_results_without_figures_have_a_verdict(client: Client, run: Path) -> None:
    (run / RESULTS).write_text('{"verdict": "invalid"}')
    assert ">INVALID</span>" in shown(client)
    compared = client().get(f"/compare?run={RUN[1:]}&run={RUN[1:]}")
    assert compared.status_code == 200


@pytest.mark.parametrize(
    "content",
    [
        {"verdict": "valid", "checkers": []},
        {"verdict": "valid", "reasons": 5, "checkers": {"total-queue": 7}},
        {"verdict": "valid", "reasons": [], "checkers": {"a": {"x": float("inf"), "y": [1]}}},
    ],
)
def test_results_of_another_shape_are_compared(client: Client, run: Path, content: Any) -> None:
    (run / RESULTS).write_text(json.dumps(content))
    assert client().get(f"/compare?run={RUN[1:]}&run={RUN[1:]}").status_code == 200
    assert ">VALID</span>" in shown(client)


def test_a_store_directory_of_jepsen_is_a_run(client: Client, store: Path) -> None:
    folder = store / "rabbitmq" / "latest-one"
    folder.mkdir(parents=True)
    (folder / "history.edn").write_text("{:type :ok, :f :enqueue, :value 1, :process 0}\n")
    session = client()
    assert "/store/rabbitmq/latest-one/" in session.get("/").text
    page = session.get("/store/rabbitmq/latest-one/")
    assert page.status_code == 200
    assert "There is no history.arrow" not in page.text
    assert session.get("/store/rabbitmq/latest-one/report.html").status_code == 200


@pytest.mark.parametrize(
    "nodes", [None, [], {"n1": None}, {"n1": {"rabbitmq": None}}, {"n1": {"rabbitmq": ["4"]}}]
)
def test_an_environment_of_another_shape_has_no_version(
    client: Client, run: Path, nodes: Any
) -> None:
    (run / ENVIRONMENT).write_text(json.dumps({"nodes": nodes}))
    shown(client)


def test_a_version_that_only_the_log_has_is_shown(client: Client, run: Path) -> None:
    (run / ENVIRONMENT).unlink()
    line = "2026-09-21T10:15:00.000Z RabbitMQ 3.10.8 on 5 nodes, workload queue\n"
    (run / LOG).write_text(line)
    assert "<td>3.10.8</td>" in client().get("/?version=3.10.8").text
    assert "1 of 1 runs" in client().get("/?version=3.10.8").text


def test_a_run_with_another_name_is_dated_by_its_files(client: Client, store: Path) -> None:
    folder = small_run(store, "queue", "copied")
    for file in folder.iterdir():
        os.utime(file, (1_700_000_000, 1_700_000_000))
    assert "2023-11-14 22:13:20" in client().get("/").text
