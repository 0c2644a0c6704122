"""The programs of this folder, by name: for its own tests and those in tests/gevent."""

PROGRAMS = [
    "actors",
    "bounded_queue",
    "context_switch",
    "determinism",
    "events",
    "foobar",
    "groups",
    "locals",
    "semaphore",
    "spawn",
    "states",
    "timeouts",
    "work_queue",
]
