"""Random settings of the flags of each program.

They are as wide as they can be while gevent's rules alone decide what is printed: what sleeps or
waits for a time does so for whole units or for whole units and a fraction of its own kind, so that
no two timers of different chains are due within a quarter of a unit of each other. Timers of the
same kind that were armed one after the other are due one after the other.
"""


def some_time(dice, most):
    """None half of the time; otherwise half a unit beside whole ones."""
    return dice.choice([0, dice.randrange(most + 1) + 0.5])


def every(dice, most=4):
    return dice.choice([0, dice.randint(1, most)])


def foobar(dice):
    pause = dice.choice([0, 1])
    naps = dice.randrange(4)
    return {
        "greenlets": dice.randrange(9),
        "naps": naps,
        "pause": pause,
        "timeout": some_time(dice, naps) if pause else 0,
        "fail-every": every(dice),
    }


def context_switch(dice):
    return {
        "pairs": dice.randrange(5),
        "switches": dice.randrange(5),
        "pause": dice.choice([0, 1]),
        "fail-every": every(dice, 3),
    }


def determinism(dice):
    pool_size, tasks = dice.randint(1, 8), dice.randrange(13)
    return {
        "pool-size": pool_size,
        "tasks": tasks,
        "runs": dice.randint(1, 3),
        # Those that start later are in step with the others only if all take the same time.
        "stride": dice.randrange(tasks) if 0 < tasks <= pool_size else 0,
        "fail-every": every(dice),
    }


def spawn(dice):
    greenlets = dice.randrange(8)
    return {
        "greenlets": greenlets,
        "stride": dice.randrange(8),
        "x": dice.randrange(100),
        "timeout": some_time(dice, greenlets),
        "stay": dice.randrange(4),
        "fail-every": every(dice),
    }


def states(dice):
    greenlets, step = dice.randrange(9), dice.choice([0, 1])
    return {
        "greenlets": greenlets,
        "step": step,
        "timeout": some_time(dice, greenlets) if step else 0,
        "fail-every": every(dice),
    }


def timeouts(dice):
    """The timeout of the second, which nobody holds, may fire in the third or the fourth."""
    while True:
        limit = dice.randint(1, 4)
        works = [dice.randrange(1, 60) / 10 for _ in range(4)]
        if are_apart(limit, works):
            break
    return {
        "timeout": limit,
        "first": works[0],
        "second": works[1],
        "third": works[2],
        "fourth": works[3],
        "fail-every": every(dice),
    }


def are_apart(limit, works):
    """Whether all that can end a wait of timeouts.py is at least half a unit from the rest."""
    now, detached = 0, None
    for number, work in enumerate(works):
        dues = sorted([now + limit, now + work] + ([detached] if detached else []))
        if any(later - earlier < 0.5 for earlier, later in zip(dues, dues[1:])):
            return False
        if number == 1 and dues[0] == now + work:
            detached = now + limit
        elif dues[0] == detached:
            detached = None
        now = dues[0]
    return True


def events(dice):
    delay = dice.randint(1, 3)
    return {
        "waiters": dice.randrange(9),
        "delay": delay,
        "timeout": some_time(dice, delay),
        "readers": dice.randrange(5),
        "broken": dice.randrange(2),
        "fail-every": every(dice),
    }


def work_queue(dice):
    pause = dice.choice([0, 0, 1])
    return {
        "workers": dice.randrange(9),
        "tasks": dice.randrange(31),
        "pause": pause,
        "timeout": some_time(dice, 3) if pause else 0,
        "fail-every": every(dice, 8),
    }


def bounded_queue(dice):
    workers, max_size = dice.randrange(9), dice.randrange(7)
    # Workers who sleep at the same time wake within microseconds of each other. If the boss waits for
    # them, the kernel decides how many of them run before he does.
    is_decided = workers <= 1 or max_size == 0
    return {
        "workers": workers,
        "tasks": dice.randrange(31),
        "max-size": max_size,
        "pause": dice.choice([0, 1]) if is_decided else 0,
        "timeout": dice.choice([0, dice.randint(1, 3) + 0.4]),
        "patience": dice.choice([0, dice.randint(1, 3) + 0.7]),
        "fail-every": every(dice),
    }


def groups(dice):
    lines, pause = dice.randrange(5), dice.choice([0, 1])
    tasks, max_size = dice.randrange(9), dice.choice([0, 0, dice.randint(1, 4)])
    return {
        "lines": lines,
        "pause": pause,
        "timeout": some_time(dice, lines) if pause else 0,
        "tasks": tasks,
        "pool-size": dice.randint(1, 6),
        "max-size": max_size,
        # Where tasks wait for results to be read, they start at different times.
        "step": 0 if 0 < max_size < tasks else dice.choice([0, 1]),
        "fail-every": every(dice),
    }


def semaphore(dice):
    timeout = some_time(dice, 4)
    # Nobody comes in without a permit, and main would wait for ever.
    permits = dice.randrange(8) if timeout else dice.randint(1, 7)
    first, second = dice.randrange(7), dice.randrange(7)
    # As in bounded_queue: of those who sleep inside at the same time nobody may be waited for.
    is_decided = permits <= 1 or permits >= max(first, second)
    return {
        "permits": permits,
        "first": first,
        "second": second,
        "pause": dice.choice([0, 1]) if is_decided else 0,
        "timeout": timeout,
        "fail-every": every(dice),
    }


def locals_(dice):
    return {
        "greenlets": dice.randrange(9),
        "rounds": dice.randrange(5),
        "pause": dice.choice([0, 1]),
        "fail-every": every(dice),
    }


def actors(dice):
    return {
        "pairs": dice.randrange(5),
        "messages": dice.randrange(9),
        "fail-at": every(dice, 8),
        "pause": dice.choice([0, 1]),
        "timeout": some_time(dice, 4),
    }


PROGRAMS = {
    "actors": actors,
    "bounded_queue": bounded_queue,
    "context_switch": context_switch,
    "determinism": determinism,
    "events": events,
    "foobar": foobar,
    "groups": groups,
    "locals": locals_,
    "semaphore": semaphore,
    "spawn": spawn,
    "states": states,
    "timeouts": timeouts,
    "work_queue": work_queue,
}

# What a program prints when a wait of its own has timed out.
TIMED_OUT = {
    "actors": "Nobody writes",
    "bounded_queue": "Quitting time|queue is full",
    "events": "too late|No answer",
    "foobar": "late",
    "groups": "still talk",
    "semaphore": "no way in",
    "spawn": "late",
    "states": "late",
    "timeouts": "timed out|TooLong|disturbed",
    "work_queue": "late",
}
