import gevent
from gevent.pool import Group, Pool

from flags import Flags, fails

arguments = Flags(unit=0.05)
arguments.count("lines", 3)
arguments.time("pause", 0)
arguments.limit("timeout", 0)
arguments.count("tasks", 3)
arguments.count("pool-size", 2)
arguments.count("max-size", 0)
arguments.time("step", 1)
arguments.count("fail-every", 0)
flags = arguments.parse()


def check(task):
    if fails(flags.fail_every, task + 1):
        raise RuntimeError("task %d has failed" % task)


def talk(word):
    for _ in range(flags.lines):
        print(word)
        if flags.pause > 0:
            gevent.sleep(flags.pause)


def intensive(task):
    gevent.sleep((flags.tasks - task) * flags.step)
    check(task)
    return "task", task


def show(results):
    while True:
        try:
            print(next(results))
        except StopIteration:
            return
        except RuntimeError as error:
            print(error)


talkers = Group()
bar, foo, fizz = [gevent.spawn(talk, word) for word in ("bar", "foo", "fizz")]
talkers.add(bar)
talkers.add(foo)
if not talkers.join(timeout=flags.timeout):
    print("They still talk")
talkers.add(fizz)
talkers.join()

group = Group()
group.map(lambda _: print("Size of group %d" % len(group)), range(flags.tasks))

print("Ordered")
show(group.imap(intensive, range(flags.tasks), maxsize=flags.max_size or None))
print("Unordered")
show(group.imap_unordered(intensive, range(flags.tasks), maxsize=flags.max_size or None))

pool = Pool(flags.pool_size)


def measure(task):
    print("Size of pool %d" % len(pool))
    check(task)


try:
    pool.map(measure, range(flags.tasks))
except RuntimeError as error:
    print(error)
