"""Every page and file of `jepsenvm serve`."""

from __future__ import annotations

import io
import json
import os
import re
import zipfile
from html.parser import HTMLParser
from pathlib import Path

import pytest

from jepsenvm.campaign.folder import Folder
from jepsenvm.experiment.store import ENVIRONMENT, HISTORY, LOG, PLAN, REPORT, RESULTS
from jepsenvm.serve.app import ASSETS, REPORT_POLICY
from tests.report_runs import synthetic_ops, write_run
from tests.unit.campaign.builders import INVALID, VALID, attempt, expansion, record
from tests.unit.serve.conftest import Client
from tests.unit.serve.stores import FIRST, SECOND, files_of, results, small_run, still_going_on

RUN = f"/store/queue/{FIRST}"
TWO_TYPES = {"queue-type": ["quorum", "classic"]}
ATTACK = "<script>alert(1)</script>\x1b[31m"


class Elements(HTMLParser):
    """The elements of a page, and the texts of its links by their addresses."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.names: list[str] = []
        self.links: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.links += [value or "" for name, value in attrs if tag == "a" and name == "href"]


def rows_of(page: str) -> list[str]:
    """Return the runs that a list shows, by the address of each."""
    return [link for link in Elements(page).links if re.fullmatch(r"/(store|campaigns)/.+Z/", link)]


def test_the_list_has_every_run_with_its_facts(client: Client, store: Path) -> None:
    small_run(store, nemesis="kill")
    small_run(store, "order", SECOND, verdict="invalid", lost=1234, workload="order")
    page = client().get("/")
    assert page.status_code == 200
    assert rows_of(page.text) == [f"/store/order/{SECOND}/", f"{RUN}/"]
    for text in (
        "2 of 2 runs",
        "1,234",
        "INVALID",
        "VALID",
        "kill",
        "4.0.5",
        "2026-09-22 10:15:00",
    ):
        assert text in page.text


def test_an_empty_store_has_no_runs(client: Client) -> None:
    page = client().get("/")
    assert page.status_code == 200
    assert "0 of 0 runs" in page.text


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("verdict=invalid", [SECOND]),
        ("verdict=valid", [FIRST]),
        ("workload=order", [SECOND]),
        ("nemesis=kill", [FIRST]),
        ("version=4.3.6", [SECOND]),
        ("text=ORDER+invalid", [SECOND]),
        ("text=partition-one-way", [SECOND]),
        ("since=2026-09-22", [SECOND]),
        ("until=2026-09-21", [FIRST]),
        ("since=2026-09-21&until=2026-09-22", [SECOND, FIRST]),
        ("verdict=invalid&workload=queue", []),
        ("sort=lost&order=ascending", [FIRST, SECOND]),
        ("sort=version", [SECOND, FIRST]),
        ("sort=name&order=ascending", [SECOND, FIRST]),
        ("page=7", [SECOND, FIRST]),
        ("unheard=of", [SECOND, FIRST]),
    ],
)
def test_the_list_is_filtered_and_sorted(
    client: Client, store: Path, query: str, shown: list[str]
) -> None:
    small_run(store, nemesis="kill")
    small_run(
        store,
        "order",
        SECOND,
        verdict="invalid",
        lost=9,
        version="4.3.6",
        workload="order",
        nemesis=["partition-one-way", "pause"],
    )
    page = client().get(f"/?{query}").text
    assert [link.split("/")[3] for link in rows_of(page)] == shown
    assert f"{len(shown)} of 2 runs" in page


def test_what_a_query_gets_wrong_is_said(client: Client, store: Path) -> None:
    small_run(store)
    page = client().get("/?since=tomorrow&sort=smell&page=x").text
    assert "tomorrow is no date" in page
    assert "no column smell" in page
    assert rows_of(page) == [f"{RUN}/"]


def test_a_filter_stays_in_the_links_that_sort(client: Client, store: Path) -> None:
    small_run(store)
    page = client().get("/?verdict=valid&sort=lost&order=ascending").text
    sorting = [link for link in Elements(page).links if link.startswith("/?")]
    assert sorting
    assert all("verdict=valid" in link for link in sorting)
    assert "/?verdict=valid&sort=lost" in sorting  # the other direction, which is the default
    assert '<th scope="col" aria-sort="ascending"><a href="/?verdict=valid&amp;sort=lost">' in page


def test_a_run_has_a_page_a_report_and_a_zip(client: Client, store: Path) -> None:
    small_run(store, verdict="invalid", reasons=("2 messages were lost",))
    page = client().get(f"{RUN}/")
    assert page.status_code == 200
    assert {"report.html", "run.zip"} <= set(Elements(page.text).links)
    assert "2 messages were lost" in page.text
    assert "partition-random-halves" in page.text
    assert 'id="follow"' not in page.text


def test_the_stored_report_is_sent_in_a_sandbox(client: Client, store: Path) -> None:
    (small_run(store) / REPORT).write_text("<!doctype html><title>as it was</title>")
    answer = client().get(f"{RUN}/report.html")
    assert answer.text == "<!doctype html><title>as it was</title>"
    assert answer.headers["Content-Security-Policy"] == REPORT_POLICY
    assert answer.headers["Content-Type"].startswith("text/html")


def test_a_report_is_made_for_a_run_without_one(client: Client, store: Path) -> None:
    folder = write_run(store / "queue" / FIRST, synthetic_ops(lossy=True, rate=1))
    before = files_of(store)
    session = client()
    answer = session.get(f"{RUN}/report.html")
    assert "The cluster lost" in answer.text
    assert files_of(store) == before
    (folder / HISTORY).write_bytes(b"")  # the file is another one, so it is another report
    assert "The cluster lost" not in session.get(f"{RUN}/report.html").text


def test_the_zip_has_what_the_controller_recorded(client: Client, store: Path) -> None:
    folder = small_run(store)
    (folder / "history-load-1.arrow").write_bytes(b"x" * 1_000_000)
    (folder / "nodes" / "n1").mkdir(parents=True)
    (folder / "nodes" / "n1" / "rabbit.log").write_text("password guest")
    (folder / "broker-state").mkdir()
    (folder / "broker-state" / "cluster.txt").write_text("secret")
    (folder / "notes.txt").write_text("private")
    (folder / ".hidden").write_text("private")
    answer = client().get(f"{RUN}/run.zip")
    assert answer.headers["Content-Disposition"] == (
        f"attachment; filename*=UTF-8''queue-{FIRST}.zip"
    )
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        names = {PLAN, RESULTS, ENVIRONMENT, LOG, HISTORY, "history-load-1.arrow"}
        assert set(archive.namelist()) == {f"queue-{FIRST}/{name}" for name in names}
        for name in names:
            assert archive.read(f"queue-{FIRST}/{name}") == (folder / name).read_bytes()


def test_two_runs_are_compared(client: Client, store: Path) -> None:
    small_run(store, window=1)
    small_run(store, "other", SECOND, verdict="invalid", lost=7, version="4.3.6", window=50)
    page = client().get(f"/compare?run={RUN[1:]}&run=store/other/{SECOND}").text
    differing = page[: page.index("are the same")]
    assert re.search(r">window</th><td>1</td><td>50</td><td class=\"number\">\+49</td>", differing)
    assert re.search(r">RabbitMQ</th><td>4.0.5</td><td>4.3.6</td>", differing)
    assert re.search(
        r">total-queue: lost-count</th><td>0</td><td>7</td><td class=\"number\">\+7</td>", page
    )
    assert ">net-ticktime</th>" not in differing
    assert ">net-ticktime</th>" in page
    assert {f"{RUN}/", f"/store/other/{SECOND}/"} <= set(Elements(page).links)


@pytest.mark.parametrize(
    ("query", "status", "text"),
    [
        ("", 400, "Select two runs to compare; 0 are selected."),
        (f"run={RUN[1:]}", 400, "1 are selected"),
        (f"run={RUN[1:]}&run={RUN[1:]}&run={RUN[1:]}", 400, "3 are selected"),
        (f"run={RUN[1:]}&run=store/none/none", 404, "There is no such run."),
        (f"run={RUN[1:]}&run=../../etc/passwd", 404, "There is no such run."),
    ],
)
def test_other_numbers_and_unknown_runs_are_not_compared(
    client: Client, store: Path, query: str, status: int, text: str
) -> None:
    small_run(store)
    answer = client().get(f"/compare?{query}")
    assert answer.status_code == status
    assert text in answer.text


def write_campaign(campaigns: Path, name: str, *, worse: bool) -> Folder:
    folder = Folder(campaigns / name)
    planned = expansion(TWO_TYPES)
    folder.begin(name, planned)
    first, second = planned.runs
    small_run(folder.attempt(first.id, 1), "c", FIRST)
    place = f"runs/{first.id}/attempt-1/c/{FIRST}"
    folder.save(first.id, type(record())((attempt(VALID, folder=place),)))
    folder.save(second.id, record(INVALID if worse else VALID))
    return folder


def test_a_campaign_has_a_page_whose_links_lead_to_its_runs(
    client: Client, campaigns: Path
) -> None:
    write_campaign(campaigns, "nightly", worse=False)
    session = client()
    assert "/campaigns/nightly/" in Elements(session.get("/").text).links
    page = session.get("/campaigns/nightly/")
    links = [link.partition("#")[0] for link in Elements(page.text).links]
    (report,) = {link for link in links if link.endswith("report.html")}
    assert session.get(f"/campaigns/nightly/{report}").status_code == 200
    (listed,) = rows_of(session.get("/?campaign=nightly").text)
    assert "Campaign nightly" in session.get(listed).text


def test_two_campaigns_are_compared(client: Client, campaigns: Path) -> None:
    write_campaign(campaigns, "monday", worse=False)
    write_campaign(campaigns, "tuesday", worse=True)
    session = client()
    page = session.get("/compare-campaigns?campaign=monday&campaign=tuesday").text
    assert ">worse</td>" in page
    assert "<td>1 valid</td>" in page
    assert "<td>1 invalid</td>" in page
    assert "2 runs: 1 worse, 1 expected" in page
    alone = session.get("/compare-campaigns?campaign=monday")
    assert (alone.status_code, "Select two campaigns" in alone.text) == (400, True)
    unknown = session.get("/compare-campaigns?campaign=monday&campaign=..")
    assert (unknown.status_code, "no such campaign" in unknown.text) == (404, True)


def test_a_damaged_campaign_is_one_sentence(client: Client, campaigns: Path) -> None:
    folder = write_campaign(campaigns, "nightly", worse=False)
    (folder.path / "campaign.json").write_text("{")
    answer = client().get("/campaigns/nightly/")
    assert answer.status_code == 422
    assert "damaged" in answer.text


@pytest.mark.parametrize("name", ASSETS)
def test_assets_are_sent(client: Client, name: str) -> None:
    answer = client().get(f"/assets/{name}")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith(ASSETS[name][1])


def test_watching_changes_nothing(client: Client, store: Path) -> None:
    small_run(store)
    small_run(store, "other", SECOND, verdict=None)
    before = files_of(store)
    session = client()
    for address in ("/", f"{RUN}/", f"{RUN}/report.html", f"{RUN}/run.zip", f"{RUN}/events"):
        assert session.get(address).status_code == 200, address
    assert session.get(f"/compare?run={RUN[1:]}&run=store/other/{SECOND}").status_code == 200
    assert files_of(store) == before


def test_texts_of_a_run_are_never_markup(client: Client, store: Path) -> None:
    folder = small_run(store, f"x{ATTACK[:8]}y\x1b[31m", verdict="invalid", reasons=(ATTACK,))
    (folder / PLAN).write_text(json.dumps({"workload": ATTACK, "nemesis": ATTACK, ATTACK: ATTACK}))
    (folder / ENVIRONMENT).write_text(json.dumps({"nodes": {ATTACK: {"rabbitmq": ATTACK}}}))
    (folder / RESULTS).write_text(
        json.dumps({**results("invalid"), "checkers": {ATTACK: {ATTACK: ATTACK}}})
    )
    session = client()
    page = session.get("/").text
    (address,) = rows_of(page)
    key = address[1:-1]
    for text in (
        page,
        session.get(address).text,
        session.get(f"/compare?run={key}&run={key}").text,
        session.get("/", params={"text": ATTACK, "verdict": ATTACK, "sort": ATTACK}).text,
        session.get("/", params={"since": ATTACK}).text,
    ):
        assert "alert" in text or "&lt;script" in text
        assert "script" not in Elements(text).names
        assert "\x1b" not in text


def test_the_second_page_has_the_rest(
    client: Client, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jepsenvm.serve.query.PAGE_ROWS", 1)
    small_run(store)
    small_run(store, "other", SECOND)
    session = client()
    first = session.get("/?sort=name").text
    assert rows_of(first) == [f"{RUN}/"]
    following = next(link for link in Elements(first).links if "page=2" in link)
    assert rows_of(session.get(following).text) == [f"/store/other/{SECOND}/"]


def test_head_sends_no_content_and_makes_none(client: Client, store: Path) -> None:
    small_run(store, verdict=None)
    for address in ("/", f"{RUN}/", f"{RUN}/run.zip", f"{RUN}/events"):
        answer = client().head(address)
        assert (answer.status_code, answer.content) == (200, b""), address


def test_a_run_that_changes_is_read_again(client: Client, store: Path) -> None:
    folder = still_going_on(small_run(store, verdict=None))
    session = client()
    assert "GOING ON" in session.get("/").text
    (folder / RESULTS).write_text(json.dumps(results("invalid")))
    assert "INVALID" in session.get("/").text
    for file in folder.iterdir():
        if file.name == RESULTS:
            file.unlink()
        else:
            os.utime(file, (1_700_000_000, 1_700_000_000))
    assert "NO VERDICT" in session.get("/").text
