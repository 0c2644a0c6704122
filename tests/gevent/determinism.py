import gevent
from gevent.pool import Pool

from flags import Flags, fails

arguments = Flags(unit=0.001)
arguments.count("pool-size", 10)
arguments.count("tasks", 10)
arguments.count("runs", 4)
arguments.time("delay", 1)
arguments.count("stride", 0)
arguments.time("step", 1)
arguments.count("fail-every", 0)
flags = arguments.parse()


def echo(task):
    gevent.sleep(flags.delay + task * flags.stride % flags.tasks * flags.step)
    if fails(flags.fail_every, task + 1):
        raise RuntimeError("task %d" % task)
    return task


pool = Pool(flags.pool_size)


def run():
    items = []
    results = pool.imap_unordered(echo, range(flags.tasks))
    while True:
        try:
            items.append(str(next(results)))
        except StopIteration:
            return "[%s]" % ", ".join(items)
        except RuntimeError as error:
            items.append(str(error))


texts = [run() for _ in range(flags.runs)]
print(all(text == texts[0] for text in texts), texts[0])
