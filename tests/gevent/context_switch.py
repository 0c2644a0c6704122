import gevent

from flags import Flags, fails, tell_failures

arguments = Flags(unit=0.01)
arguments.count("pairs", 1)
arguments.count("switches", 1)
arguments.time("pause", 0)
arguments.count("fail-every", 0)
flags = arguments.parse()


def foo(number):
    print("Running in foo")
    for _ in range(flags.switches):
        gevent.sleep(flags.pause)
        if fails(flags.fail_every, number):
            raise RuntimeError("foo %d does not come back" % number)
        print("Explicit context switch to foo again")


def bar():
    print("Explicit context to bar")
    for _ in range(flags.switches):
        gevent.sleep(flags.pause)
        print("Implicit context switch back to bar")


everybody = []
for pair in range(flags.pairs):
    everybody += [gevent.spawn(foo, pair + 1), gevent.spawn(bar)]
gevent.joinall(everybody)
tell_failures(everybody)
