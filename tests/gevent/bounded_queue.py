import gevent
from gevent.hub import LoopExit
from gevent.queue import Empty, Full, Queue

from flags import Flags, fails, tell_failures

arguments = Flags(unit=1)
arguments.count("workers", 3)
arguments.count("tasks", 19)
arguments.count("max-size", 3)
arguments.time("pause", 0)
arguments.limit("timeout", 1)
arguments.limit("patience", 0)
arguments.count("fail-every", 0)
flags = arguments.parse()

NAMES = {1: "steve", 2: "john", 3: "bob"}
queue = Queue(flags.max_size or None)


def worker(number):
    name = NAMES.get(number, "worker%d" % number)
    try:
        while True:
            task = queue.get(timeout=flags.timeout)
            print("Worker %s got task %d" % (name, task))
            if fails(flags.fail_every, number):
                raise RuntimeError("%s could not do task %d" % (name, task))
            gevent.sleep(flags.pause)
    except Empty:
        print("Quitting time!")


def boss():
    half = flags.tasks // 2
    for iteration, tasks in enumerate([range(half), range(half, flags.tasks)]):
        for task in tasks:
            try:
                queue.put(task + 1, timeout=flags.patience)
            except Full:
                raise RuntimeError("the queue is full") from None
        print("Assigned all work in iteration %d" % (iteration + 1))


everybody = [gevent.spawn(boss)]
everybody += [gevent.spawn(worker, n + 1) for n in range(flags.workers)]
try:
    gevent.joinall(everybody)
except LoopExit:
    print("They all wait for each other")
tell_failures(everybody)
