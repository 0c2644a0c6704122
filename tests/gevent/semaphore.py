from contextlib import contextmanager

import gevent
from gevent.lock import BoundedSemaphore
from gevent.pool import Pool

from flags import Flags, fails

arguments = Flags(unit=0.01)
arguments.count("permits", 2)
arguments.count("first", 2)
arguments.count("second", 3)
arguments.time("pause", 0)
arguments.limit("timeout", 0)
arguments.count("fail-every", 0)
flags = arguments.parse()

semaphore = BoundedSemaphore(flags.permits)
pool = Pool()


def enter(number):
    if not semaphore.acquire(timeout=flags.timeout):
        raise RuntimeError("found no way in")
    print("Worker %d acquired semaphore" % number)


@contextmanager
def inside(number):
    enter(number)
    try:
        yield
    finally:
        semaphore.release()


def by_hand(number):
    enter(number)
    gevent.sleep(flags.pause)
    semaphore.release()
    print("Worker %d released semaphore" % number)


def by_guard(number):
    with inside(number):
        gevent.sleep(flags.pause)
        if fails(flags.fail_every, number):
            raise RuntimeError("fell down inside")
    print("Worker %d released semaphore" % number)


def run(numbers, worker):
    workers = [pool.spawn(worker, number) for number in numbers]
    pool.join()
    for number, greenlet in zip(numbers, workers):
        if not greenlet.successful():
            print("Worker %d %s" % (number, greenlet.exception))


run(range(flags.first), by_hand)
run(range(flags.first + 1, flags.first + 1 + flags.second), by_guard)
