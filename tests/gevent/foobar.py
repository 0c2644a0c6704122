import gevent

from flags import Flags, fails, tell_failures

arguments = Flags(unit=0.01)
arguments.count("greenlets", 2)
arguments.count("naps", 1)
arguments.time("pause", 0)
arguments.limit("timeout", 0)
arguments.count("fail-every", 0)
flags = arguments.parse()


def foobar(number):
    print("foo")
    for _ in range(flags.naps):
        gevent.sleep(flags.pause)
    if fails(flags.fail_every, number):
        raise RuntimeError("greenlet %d has no bar" % number)
    print("bar")


everybody = [gevent.spawn(foobar, n + 1) for n in range(flags.greenlets)]
gevent.joinall(everybody, timeout=flags.timeout)
tell_failures(everybody)
