import gevent
from gevent.queue import Queue

from flags import Flags, fails, tell_failures

arguments = Flags(unit=0.01)
arguments.count("workers", 3)
arguments.count("tasks", 24)
arguments.time("pause", 0)
arguments.limit("timeout", 0)
arguments.count("fail-every", 0)
flags = arguments.parse()

NAMES = {1: "steve", 2: "john", 3: "nancy"}
queue = Queue()


def worker(name):
    while not queue.empty():
        task = queue.get()
        print("Worker %s got task %d" % (name, task))
        if fails(flags.fail_every, task):
            raise RuntimeError("%s could not do task %d" % (name, task))
        gevent.sleep(flags.pause)
    print("Quitting time!")


def boss():
    for task in range(flags.tasks):
        queue.put_nowait(task + 1)


gevent.spawn(boss).join()
workers = [gevent.spawn(worker, NAMES.get(n, "worker%d" % n)) for n in range(1, flags.workers + 1)]
gevent.joinall(workers, timeout=flags.timeout)
tell_failures(workers)
if queue.qsize():
    print("%d tasks are left" % queue.qsize())
