"""The program that corrupts a file of a queue: which file it chooses, and what it changes."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from jepsenvm.machines.remote import file_corrupt

QUEUE = "jepsenvm.quorum.20261129T120000.123"
UID = "2F_JEPSE1Q2W3E4R"


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The database of a node, without queues."""
    monkeypatch.setattr(file_corrupt, "DATABASES", tmp_path / "mnesia")
    monkeypatch.setattr(file_corrupt, "KEPT", tmp_path / "kept")
    node = tmp_path / "mnesia" / "rabbit@n1"
    node.mkdir(parents=True)
    return node


def written(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def quorum_queue(database: Path, queue: str = QUEUE, uid: str = UID) -> Path:
    """Return the folder of a replica of a quorum queue."""
    folder = database / "quorum" / "rabbit@n1" / uid
    written(folder / "config", f"#{{id => {{'%2F_{queue}','rabbit@n1'}}}}.".encode())
    return folder


def test_the_folder_of_a_classic_queue() -> None:
    number = int(hashlib.md5(b"queue/q").hexdigest(), 16)  # noqa: S324 - RabbitMQ's choice
    name = file_corrupt.folder_name("/", "q")
    assert int(name, 36) == number
    assert name == name.upper()


def test_a_classic_queue_is_corrupted_in_its_own_files_first(database: Path) -> None:
    vhost = database / "msg_stores" / "vhosts" / "628WB79CIFDYO9LJI6DKMI09L"
    own = vhost / "queues" / file_corrupt.folder_name("/", "q")
    store = written(vhost / "msg_store_persistent" / "0.rdq", b"x" * 900)
    written(own / ".queue_name", b"VHOST: /\nQUEUE: q\n")
    assert file_corrupt.chosen("/", "q") == store
    index = written(own / "0.qi", b"x" * 100)
    written(own / "0.qs", b"x" * 10)
    assert file_corrupt.chosen("/", "q") == index


def test_a_quorum_queue_is_corrupted_in_a_segment_else_in_a_log_that_names_it(
    database: Path,
) -> None:
    folder = quorum_queue(database)
    quorum_queue(database, "other", "2F_OTHER")
    written(folder.parent / "1.wal", b"RAWA 2F_OTHER" + b"x" * 900)
    log = written(folder.parent / "2.wal", b"RAWA " + UID.encode() + b"x" * 90)
    written(folder / "0001.segment", b"\0" * 4096)
    assert file_corrupt.chosen("/", QUEUE) == log
    segment = written(folder / "0002.segment", b"RASG\0\0x")
    assert file_corrupt.chosen("/", QUEUE) == segment


def test_a_stream_is_corrupted_in_its_segment(database: Path) -> None:
    streams = database / "stream"
    own = written(streams / "__jepsenvm_stream_1_1764417600000000000/0.segment", b"OSIL" * 9)
    written(streams / "__jepsenvm_stream_1_1764417600000000000/0.index", b"OSII" * 99)
    written(streams / "__jepsenvm_stream_12_1764417600000000000/0.segment", b"OSIL" * 99)
    assert file_corrupt.chosen("/", "jepsenvm.stream.1") == own


def test_no_other_file_is_ever_chosen(database: Path, tmp_path: Path) -> None:
    """Neither a file of another queue, nor what a link leads to, nor a name a shell could read."""
    outside = written(tmp_path / "outside.segment", b"x" * 900)
    folder = quorum_queue(database)
    (folder / "1.segment").symlink_to(outside)
    written(folder / "$(reboot).segment", b"x" * 900)
    written(quorum_queue(database, f"{QUEUE}4", "2F_NEXT") / "1.segment", b"x" * 900)
    with pytest.raises(file_corrupt.CorruptionError, match=f"no file here .* the queue {QUEUE}$"):
        file_corrupt.chosen("/", QUEUE)


@pytest.mark.parametrize(
    ("content", "percent", "expected"),
    [
        (b"abcdefghij", 50, 5),
        (b"abcdefghij" + b"\0" * 9000, 50, 5),
        (b"a" + b"\0" * 8 + b"j", 20, 9),
        (b"ab", 1, 1),
        (b"ab", 99, 1),
    ],
)
def test_an_offset_has_data_and_is_not_the_first(
    tmp_path: Path, content: bytes, percent: float, expected: int
) -> None:
    path = written(tmp_path / "file", content)
    assert file_corrupt.position(path, percent) == expected


@pytest.mark.parametrize("content", [b"", b"\0" * 9000])
def test_space_for_later_is_not_used(tmp_path: Path, content: bytes) -> None:
    assert file_corrupt.used(written(tmp_path / "file", content)) == 0


def run(monkeypatch: pytest.MonkeyPatch, order: dict[str, Any]) -> list[str]:
    """Run the program; return its commands of systemctl."""
    commands: list[str] = []

    def systemctl(*words: str, timeout: float = 20) -> int:
        commands.append(words[0])
        return 0

    monkeypatch.setattr(file_corrupt, "systemctl", systemctl)
    monkeypatch.setattr(sys, "argv", ["file_corrupt", json.dumps(order)])
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    try:
        file_corrupt.main()
    except SystemExit as ended:
        commands.append(str(ended))
    return commands


def order(way: str, **changes: object) -> dict[str, Any]:
    return {"vhost": "/", "queue": QUEUE, "way": way, "at-percent": 50, **changes}


@pytest.mark.parametrize(
    ("way", "expected", "byte"), [("flip", b"abcdegghij", 103), ("truncate", b"abcde", None)]
)
def test_the_node_stops_before_and_starts_after_and_keeps_a_record(
    database: Path, monkeypatch: pytest.MonkeyPatch, way: str, expected: bytes, byte: int | None
) -> None:
    path = written(quorum_queue(database) / "1.segment", b"abcdefghij")
    assert run(monkeypatch, order(way)) == ["stop", "reset-failed", "start"]
    assert path.read_bytes() == expected
    kept = file_corrupt.KEPT
    assert (kept / "original").read_bytes() == b"abcdefghij"
    assert json.loads((kept / "record.json").read_text()) == {
        "path": str(path),
        "offset": 5,
        "size-before": 10,
        "size-after": len(expected),
        "byte-before": 102,
        "byte-after": byte,
        "sha256-before": hashlib.sha256(b"abcdefghij").hexdigest(),
        "sha256-after": hashlib.sha256(expected).hexdigest(),
    }


def test_without_a_file_nothing_stops(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    message = f"error: no file here holds messages of the queue {QUEUE}"
    assert run(monkeypatch, order("flip")) == [message]
    assert not file_corrupt.KEPT.exists()


def test_a_second_corruption_waits_for_the_healing_of_the_first(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(quorum_queue(database) / "1.segment", b"abcdefghij")
    file_corrupt.KEPT.mkdir()
    (problem,) = run(monkeypatch, order("flip"))
    assert problem.startswith("error: an earlier corruption was not healed: ")
    assert path.read_bytes() == b"abcdefghij"


def test_a_failure_after_the_change_puts_the_original_back(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(quorum_queue(database) / "1.segment", b"abcdefghij")

    def fail(_: object) -> None:
        assert path.read_bytes() == b"abcdegghij"
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(file_corrupt, "digest", fail)
    done = run(monkeypatch, order("flip"))
    assert done == ["stop", "reset-failed", "start", "error: [Errno 28] No space left on device"]
    assert path.read_bytes() == b"abcdefghij"
    assert not file_corrupt.KEPT.exists()


def test_a_failure_after_the_stop_starts_the_node_and_leaves_nothing(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(quorum_queue(database) / "1.segment", b"abcdefghij")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", fail)
    done = run(monkeypatch, order("flip"))
    assert done == ["stop", "reset-failed", "start", "error: [Errno 28] No space left on device"]
    assert path.read_bytes() == b"abcdefghij"
    assert not file_corrupt.KEPT.exists()
