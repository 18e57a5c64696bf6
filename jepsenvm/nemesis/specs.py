"""Every nemesis by name: how it draws its next fault for some nodes, and what a person may say about it.

A nemesis' fault has one stage or more, each a part of its time; randomness comes from the caller's seeded ``Random``.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from random import Random
from typing import Final, Literal

from jepsenvm.errors import UsageError
from jepsenvm.machines.reachability import Groups, Grudge, majority
from jepsenvm.nemesis.grudge import (
    bridge,
    complete_grudge,
    halves,
    isolate,
    majorities_ring,
    one_way,
    pair,
    random_groups,
    random_halves,
    random_majority,
    random_minority,
    random_node,
    rolling_stale,
    same_majority,
    shuffled,
    with_rest,
)
from jepsenvm.nemesis.instance import Fault, Role


@dataclass(frozen=True)
class Stage:
    """One part of a fault's time, as shares (0..1) of it, and what is in force meanwhile."""

    begins: float
    ends: float
    fault: Fault


@dataclass(frozen=True)
class FaultRequest:
    """Whom a fault is for, and what a person said about it; what was not said is drawn, or has its default."""

    nodes: Sequence[str]
    random: Random
    victims: tuple[str, ...] = ()
    groups: tuple[tuple[str, ...], ...] = ()
    grudge: Grudge = field(default_factory=dict)
    settings: Mapping[str, float] = field(default_factory=dict)


Draw = Callable[[FaultRequest], tuple[Stage, ...]]
"""Makes the stages of a fault; faults that it leaves unnamed get the name of their nemesis."""


@dataclass(frozen=True)
class NemesisSpec:
    """How a nemesis makes its faults."""

    about: str
    """What it does, in one line for people."""
    draw: Draw
    takes: Literal["nodes", "groups", "nothing"] = "nothing"
    """What a person may name."""
    settings: Mapping[str, float] = field(default_factory=dict)
    """What can be set, with the defaults; 0 stands for a value that is drawn."""
    fewest: int = 2
    """With fewer nodes it has nothing to break, or nobody to leave connected."""


def stages(name: str, ask: FaultRequest) -> tuple[Stage, ...]:
    """Return the stages of a nemesis' next fault; raise UsageError, naming every problem, for what it cannot do."""
    recipe = _recipe(name)
    problems = list(_problems(name, recipe, ask))
    if problems:
        raise UsageError(f"nemesis: {'; '.join(problems)}")
    drawn = recipe.draw(replace(ask, settings={**recipe.settings, **ask.settings}))
    return tuple(
        replace(stage, fault=replace(stage.fault, name=stage.fault.name or name)) for stage in drawn
    )


def resolved(fault: Fault, leader: str, replicas: Collection[str] = ()) -> Fault:
    """Return the fault with its role turned into nodes, now that the queue's leader and its replicas are known.

    ``replicas`` are the nodes that have one, the leader too; all nodes if none are told.
    """
    if fault.role is None:
        return fault
    members = [node for node in fault.nodes if node in (replicas or fault.nodes)]
    followers = [node for node in members if node != leader]
    # A minority, so that the leader keeps a majority; of two replicas nobody can.
    few = max(1, len(members) - majority(len(members)))
    chosen = {"leader": [leader], "followers": followers[:few], "replica": members[:1]}[fault.role]
    if fault.kind != "partition":
        heir = {"heir": followers[0]} if fault.role == "leader" and followers else {}
        settings = {**fault.settings, **heir}
        return replace(
            fault, nodes=tuple(chosen), text=" ".join(chosen), settings=settings, role=None
        )
    groups = with_rest([chosen], fault.nodes)
    return replace(
        fault,
        nodes=tuple(sorted(fault.nodes)),
        grudge=complete_grudge(groups),
        text=f"{_in_words(groups)}, leader {leader}",
        role=None,
    )


def _recipe(name: str) -> NemesisSpec:
    if name not in NEMESES:
        raise UsageError(f"nemesis: there is no {name} (known: {', '.join(NEMESES)})")
    recipe = NEMESES[name]
    if recipe is None:
        raise UsageError(f"nemesis: {name} makes no faults")
    return recipe


def _problems(name: str, recipe: NemesisSpec, ask: FaultRequest) -> Iterator[str]:
    if len(ask.nodes) < recipe.fewest:
        yield f"{name} needs {recipe.fewest} nodes or more, and there are {len(ask.nodes)}"
    if ask.victims and recipe.takes != "nodes":
        yield f"{name} takes no nodes"
    if ask.groups and recipe.takes != "groups":
        yield f"{name} takes no groups"
    if ask.grudge and name != "partition":
        yield f"{name} takes no grudge (only partition does)"
    yield from (f"{name}: {problem}" for problem in _naming_problems(ask))
    yield from (
        f"{name}: {problem}" for problem in _setting_problems(recipe.settings, ask.settings)
    )


def _naming_problems(ask: FaultRequest) -> Iterator[str]:
    grouped = list(chain.from_iterable(ask.groups))
    unknown = {
        *ask.victims,
        *grouped,
        *ask.grudge,
        *chain.from_iterable(ask.grudge.values()),
    } - set(ask.nodes)
    if unknown:
        yield f"unknown nodes {' '.join(sorted(unknown))} (known: {' '.join(ask.nodes)})"
    yield from (f"{node} is named twice" for node in _twice(ask.victims))
    yield from (f"{node} stands twice in the groups" for node in _twice(grouped))
    if not all(ask.groups):
        yield "a group is empty"
    if ask.groups and len(with_rest(ask.groups, ask.nodes)) < 2:
        yield "fewer than two groups, all nodes stand in one"
    yield from (
        f"{node} cannot drop its own packets"
        for node, drops in sorted(ask.grudge.items())
        if node in drops
    )


def _twice(names: Iterable[str]) -> list[str]:
    return sorted(name for name, count in Counter(names).items() if count > 1)


def _setting_problems(known: Mapping[str, float], given: Mapping[str, float]) -> Iterator[str]:
    for key, value in given.items():
        if key not in known:
            yield f"unknown setting {key!r} (known: {', '.join(known) or 'none'})"
        elif not math.isfinite(value):
            yield f"{key} must be a finite number"
        elif key.endswith("percent") and not 0 < value <= 100:
            yield f"{key} must be more than 0 and at most 100, not {value:g}"
        elif key == "jitter-ms" and value < 0:
            yield f"{key} must be 0 or more, not {value:g}"
        elif known[key] != 0 and key != "jitter-ms" and value <= 0:
            yield f"{key} must be more than 0, not {value:g}"


def _whole(fault: Fault) -> tuple[Stage, ...]:
    return (Stage(0.0, 1.0, fault),)


def _in_words(groups: Groups) -> str:
    return " | ".join(" ".join(group) for group in groups)


def _settings_in_words(settings: Mapping[str, float | str]) -> str:
    return "".join(
        f", {key} {value:g}" for key, value in settings.items() if not isinstance(value, str)
    )


def _cut(
    text: str, grudge: Grudge, kind: str = "partition", settings: Mapping[str, float] | None = None
) -> Fault:
    """Return the fault of a grudge; it acts on those who drop."""
    dropping = tuple(sorted(node for node, dropped in grudge.items() if dropped))
    known = dict(settings or {})
    return Fault(kind, "", text + _settings_in_words(known), dropping, grudge, known)


def _groups(make: Callable[[Sequence[str], Random], Groups]) -> Draw:
    """Return what draws groups that do not hear each other."""

    def draw(ask: FaultRequest) -> tuple[Stage, ...]:
        groups = make(ask.nodes, ask.random)
        return _whole(_cut(_in_words(groups), complete_grudge(groups)))

    return draw


def _named_partition(ask: FaultRequest) -> tuple[Stage, ...]:
    if bool(ask.groups) == any(ask.grudge.values()):
        raise UsageError(
            "nemesis: partition needs either groups or a grudge",
            remedy="or take partition-random-groups",
        )
    if ask.groups:
        groups = with_rest(ask.groups, ask.nodes)
        return _whole(_cut(_in_words(groups), complete_grudge(groups)))
    grudge = {node: frozenset(dropped) for node, dropped in ask.grudge.items() if dropped}
    drops = "; ".join(
        f"{node} drops {' '.join(sorted(dropped))}" for node, dropped in sorted(grudge.items())
    )
    return _whole(_cut(drops, grudge))


def _one_way(ask: FaultRequest) -> tuple[Stage, ...]:
    if len(ask.groups) > 2:
        raise UsageError(
            "nemesis: partition-one-way takes two groups: those who drop, and whose packets"
        )
    if len(ask.groups) == 2:
        deaf, heard = ask.groups
    elif ask.groups:
        deaf, heard = with_rest(ask.groups, ask.nodes)
    else:
        parts = random_halves(ask.nodes, ask.random)
        deaf, heard = ask.random.sample(
            parts, 2
        )  # or it would always be the smaller half that drops
    return _whole(
        _cut(f"{' '.join(deaf)} drop {' '.join(heard)}, who still hear them", one_way(deaf, heard))
    )


def _flapping(ask: FaultRequest) -> tuple[Stage, ...]:
    groups = (
        with_rest(ask.groups, ask.nodes) if ask.groups else random_halves(ask.nodes, ask.random)
    )
    return _whole(_cut(_in_words(groups), complete_grudge(groups), "flapping", ask.settings))


def _bridge(ask: FaultRequest) -> tuple[Stage, ...]:
    between, grudge = bridge(ask.nodes, ask.random)
    sides = sorted({tuple(sorted(set(grudge) - dropped)) for dropped in grudge.values()})
    return _whole(_cut(f" + {between} + ".join(" ".join(side) for side in sides), grudge))


def _pair(ask: FaultRequest) -> tuple[Stage, ...]:
    a, b, grudge = pair(ask.nodes, ask.random)
    return _whole(_cut(f"{a} | {b}, all others see both", grudge))


def _ring(ask: FaultRequest) -> tuple[Stage, ...]:
    ring, grudge = majorities_ring(ask.nodes, ask.random)
    return _whole(_cut(f"ring of {' '.join(ring)}", grudge))


OVERLAP: Final = 0.07
"""How long a stage of the rolling scheme outlasts the beginning of the next, as a share of the whole fault."""


def _rolling_stale(ask: FaultRequest) -> tuple[Stage, ...]:
    partitions = rolling_stale(ask.nodes, ask.random)
    return tuple(
        Stage(
            part / 3,
            min(1.0, (part + 1) / 3 + OVERLAP),
            _cut(_in_words(groups), complete_grudge(groups)),
        )
        for part, groups in enumerate(partitions)
    )


def _role(kind: str, role: Role, text: str) -> Draw:
    """Return what draws a fault whose nodes are known only at its moment (see ``resolved``)."""
    return lambda ask: _whole(
        Fault(kind, "", text, tuple(shuffled(ask.nodes, ask.random)), role=role)
    )


def _one(ask: FaultRequest) -> tuple[str, ...]:
    """Return the victims that were named, or one random node."""
    return tuple(sorted(ask.victims)) or (ask.random.choice(ask.nodes),)


def _on_nodes(kind: str, **fixed: str) -> Draw:
    """Return what draws a fault of the victims themselves."""

    def draw(ask: FaultRequest) -> tuple[Stage, ...]:
        settings: dict[str, float | str] = {**fixed, **ask.settings}
        victims = _one(ask)
        return _whole(
            Fault(
                kind,
                "",
                " ".join(victims) + _settings_in_words(settings),
                victims,
                settings=settings,
            )
        )

    return draw


def _named_or(kind: str, role: Role, text: str) -> Draw:
    """Return what draws a fault of the victims that were named, or of those with a role."""
    named, looked_up = _on_nodes(kind), _role(kind, role, text)
    return lambda ask: (named if ask.victims else looked_up)(ask)


def _on_links(kind: str) -> Draw:
    """Return what draws a fault of the packets between victims and all others."""

    def draw(ask: FaultRequest) -> tuple[Stage, ...]:
        victims = _one(ask)
        grudge = isolate(victims, ask.nodes)
        return _whole(replace(_cut(" ".join(victims), grudge, kind, ask.settings), nodes=victims))

    return draw


def _clients(way: str) -> Draw:
    """Return what draws nodes whose clients are cut off."""

    def draw(ask: FaultRequest) -> tuple[Stage, ...]:
        victims = tuple(sorted(ask.victims)) or random_minority(ask.nodes, ask.random)
        kind = (
            "clients-kill" if way == "kill" else "clients"
        )  # one that is over at once, one that lasts
        return _whole(
            Fault(kind, "", f"clients of {' '.join(victims)}", victims, settings={"way": way})
        )

    return draw


def _clock_bump(ask: FaultRequest) -> tuple[Stage, ...]:
    seconds = ask.settings["seconds"] or ask.random.choice((-1, 1)) * ask.random.randint(1, 300)
    return _on_nodes("clock", way="bump")(replace(ask, settings={"seconds": seconds}))


def _kill_all(ask: FaultRequest) -> tuple[Stage, ...]:
    return _on_nodes("kill")(replace(ask, victims=tuple(ask.nodes)))


RESTART_SHARE: Final = 0.75
"""How much of its turn a node of a rolling restart is given; in the rest it comes back before the next one goes."""


def _rolling_restart(ask: FaultRequest) -> tuple[Stage, ...]:
    count = len(ask.nodes)
    return tuple(
        Stage(turn / count, (turn + RESTART_SHARE) / count, Fault("restart", "", node, (node,)))
        for turn, node in enumerate(shuffled(ask.nodes, ask.random))
    )


PRESETS: Final[Mapping[str, tuple[str, ...]]] = {
    "mixed": (
        "partition-random-node",
        "partition-random-groups",
        "loss",
        "kill",
        "pause",
        "restart",
        "clients-drop",
    ),
    "partitions": (
        "partition-halves",
        "partition-random-halves",
        "partition-random-node",
        "partition-same-majority",
        "partition-random-majority",
        "partition-random-groups",
        "partition-majorities-ring",
        "partition-bridge",
        "partition-pair",
        "partition-one-way",
    ),
    "processes": ("kill", "pause", "stop-app", "restart"),
}
"""Named mixes: each fault is one of these nemeses, drawn; nothing that the kernel of a host may lack."""


def _any_of(preset: str) -> Draw:
    """Return what draws a nemesis of a preset for which there are nodes enough, and its fault."""

    def draw(ask: FaultRequest) -> tuple[Stage, ...]:
        possible = [name for name in PRESETS[preset] if _recipe(name).fewest <= len(ask.nodes)]
        return stages(ask.random.choice(possible), ask)

    return draw


NEMESES: Final[Mapping[str, NemesisSpec | None]] = {
    "none": None,
    "partition": NemesisSpec(
        "the groups that you name from each other, the nodes of no group together; or the grudge that you write",
        _named_partition,
        takes="groups",
    ),
    "partition-halves": NemesisSpec(
        "the first half of the nodes from the others, the same each time",
        _groups(lambda nodes, _: halves(nodes)),
    ),
    "partition-random-halves": NemesisSpec("a random half from the others", _groups(random_halves)),
    "partition-random-node": NemesisSpec("one random node from all others", _groups(random_node)),
    "partition-same-majority": NemesisSpec(
        "the first nodes that are just a majority from the others, the same each time",
        _groups(lambda nodes, _: same_majority(nodes)),
        fewest=3,
    ),
    "partition-random-majority": NemesisSpec(
        "a random majority, of random size, from the others", _groups(random_majority), fewest=3
    ),
    "partition-random-groups": NemesisSpec(
        "two to all groups from each other, as blockade's `partition --random`",
        _groups(random_groups),
    ),
    "partition-majorities-ring": NemesisSpec(
        "every node hears only its neighbours in a random ring: each a majority, no two the same",
        _ring,
        fewest=4,
    ),
    "partition-bridge": NemesisSpec(
        "two halves from each other, while one node hears both", _bridge, fewest=3
    ),
    "partition-pair": NemesisSpec("one random link; all others hear both of its ends", _pair),
    "partition-one-way": NemesisSpec(
        "the first group, or a random half, drops the packets of the second, which still hears the first",
        _one_way,
        takes="groups",
    ),
    "partition-leader": NemesisSpec(
        "the queue's leader, looked up at that moment, from all others",
        _role("partition", "leader", "the queue's leader, looked up then"),
    ),
    "partition-followers": NemesisSpec(
        "a random minority of followers from the queue's leader and a majority",
        _role("partition", "followers", "a minority of followers, looked up then"),
    ),
    "partition-rolling-stale": NemesisSpec(
        "{a b | c}, {a | b | c}, {a | b c} of three random parts, overlapping without a heal in between",
        _rolling_stale,
        fewest=3,
    ),
    "partition-flapping": NemesisSpec(
        "groups, or random halves, cut for a blink and joined for a blink, again and again",
        _flapping,
        takes="groups",
        settings={"cut-ms": 300, "open-ms": 700},
    ),
    "clients-drop": NemesisSpec(
        "packets between clients and the nodes, or a random minority, are dropped",
        _clients("drop"),
        takes="nodes",
    ),
    "clients-reject": NemesisSpec(
        "clients of the nodes, or of a random minority, are refused with a reset",
        _clients("reject"),
        takes="nodes",
    ),
    "clients-kill": NemesisSpec(
        "connections between clients and the nodes, or a random minority, are killed; new ones work",
        _clients("kill"),
        takes="nodes",
    ),
    "delay": NemesisSpec(
        "packets between a node and all others come late",
        _on_links("packets"),
        takes="nodes",
        settings={"delay-ms": 200, "jitter-ms": 50},
    ),
    "loss": NemesisSpec(
        "packets between a node and all others are lost",
        _on_links("loss"),
        takes="nodes",
        settings={"percent": 20},
    ),
    "duplicate": NemesisSpec(
        "packets between a node and all others come twice",
        _on_links("packets"),
        takes="nodes",
        settings={"duplicate-percent": 10},
    ),
    "reorder": NemesisSpec(
        "packets between a node and all others overtake those that are delayed",
        _on_links("packets"),
        takes="nodes",
        settings={"reorder-percent": 25, "delay-ms": 20},
    ),
    "corrupt": NemesisSpec(
        "packets between a node and all others get a wrong bit",
        _on_links("packets"),
        takes="nodes",
        settings={"corrupt-percent": 5},
    ),
    "rate": NemesisSpec(
        "the links between a node and all others become slow",
        _on_links("packets"),
        takes="nodes",
        settings={"rate-kbit": 1000},
    ),
    "kill": NemesisSpec(
        "SIGKILL of the broker's runtime, which stays down until it is healed",
        _on_nodes("kill"),
        takes="nodes",
    ),
    "kill-all": NemesisSpec("SIGKILL of the runtime on all nodes at once", _kill_all),
    "pause": NemesisSpec(
        "SIGSTOP of the broker's runtime, SIGCONT when it is healed",
        _on_nodes("pause"),
        takes="nodes",
    ),
    "stop-app": NemesisSpec(
        "`rabbitmqctl stop_app`, `start_app` when it is healed",
        _on_nodes("stop-app"),
        takes="nodes",
    ),
    "restart": NemesisSpec("a clean restart of the service", _on_nodes("restart"), takes="nodes"),
    "rolling-restart": NemesisSpec(
        "a clean restart of every node, one after the other in random order", _rolling_restart
    ),
    "power-cut": NemesisSpec(
        "the whole host loses its power, and boots again", _on_nodes("power-cut"), takes="nodes"
    ),
    "clock-bump": NemesisSpec(
        "the clock jumps by so many seconds; drawn from 1 to 300 forwards or backwards if not said",
        _clock_bump,
        takes="nodes",
        settings={"seconds": 0},
    ),
    "clock-strobe": NemesisSpec(
        "the clock jumps by so many seconds and back, every so many milliseconds",
        _on_nodes("clock", way="strobe"),
        takes="nodes",
        settings={"seconds": 5, "every-ms": 200},
    ),
    "disk-full": NemesisSpec(
        "the disk is filled until RabbitMQ's disk alarm blocks publishers",
        _on_nodes("disk-full"),
        takes="nodes",
    ),
    "disk-slow": NemesisSpec(
        "the broker's writes are throttled",
        _on_nodes("disk-slow"),
        takes="nodes",
        settings={"write-kbyte-s": 200},
    ),
    "memory-alarm": NemesisSpec(
        "the memory watermark is lowered until its alarm blocks publishers",
        _on_nodes("memory-alarm"),
        takes="nodes",
    ),
    "leave": NemesisSpec(
        "a node leaves the cluster, and joins again", _on_nodes("leave"), takes="nodes", fewest=3
    ),
    "replica-shrink": NemesisSpec(
        "a node loses its replicas of quorum queues, and gets them again",
        _named_or("replica-shrink", "replica", "a node with a replica, looked up then"),
        takes="nodes",
        fewest=3,
    ),
    "leader-transfer": NemesisSpec(
        "the queue's leader hands over to another replica",
        _role("leader-transfer", "leader", "the queue's leader, looked up then"),
    ),
    "mixed": NemesisSpec(f"any of {', '.join(PRESETS['mixed'])}", _any_of("mixed")),
    "partitions": NemesisSpec(f"any of {', '.join(PRESETS['partitions'])}", _any_of("partitions")),
    "processes": NemesisSpec(f"any of {', '.join(PRESETS['processes'])}", _any_of("processes")),
}
"""``none`` makes no faults; the others are told apart by what they break, and for whom."""
