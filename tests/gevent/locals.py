import gevent
from gevent.local import local

from flags import Flags, fails, tell_failures

arguments = Flags(unit=0.01)
arguments.count("greenlets", 2)
arguments.count("rounds", 1)
arguments.time("pause", 0)
arguments.count("fail-every", 0)
flags = arguments.parse()

stash = local()


def f(number):
    own = "x" if number == 1 else "y"
    for n in range(flags.rounds):
        if n > 0:
            gevent.sleep(flags.pause)
        setattr(stash, own, getattr(stash, own, 0) + number)
        print(getattr(stash, own))
    if not hasattr(stash, "x"):
        print("x is not local to f%d" % number)
    if fails(flags.fail_every, number):
        raise RuntimeError("f%d has failed" % number)


everybody = [gevent.spawn(f, n + 1) for n in range(flags.greenlets)]
gevent.joinall(everybody)
if hasattr(stash, "x") or hasattr(stash, "y"):
    print("main has a stash that it has not filled")
tell_failures(everybody)
