import gevent
from gevent.event import AsyncResult, Event

from flags import Flags, fails, tell_failures

arguments = Flags(unit=0.1)
arguments.count("waiters", 5)
arguments.time("delay", 1)
arguments.limit("timeout", 0)
arguments.count("readers", 1)
arguments.count("broken", 0)
arguments.count("fail-every", 0)
flags = arguments.parse()

event = Event()
answer = AsyncResult()


def setter():
    print("A: Hey wait for me, I have to do something")
    gevent.sleep(flags.delay)
    print("Ok, I'm done")
    event.set()


def waiter(number):
    print("I'll wait for you")
    is_set = event.wait(flags.timeout)
    if fails(flags.fail_every, number):
        raise RuntimeError("waiter %d has left" % number)
    print("It's about time" if is_set else "It's too late")


def writer():
    gevent.sleep(flags.delay)
    if flags.broken:
        answer.set_exception(RuntimeError("Goodbye!"))
    else:
        answer.set("Hello!")


def reader():
    try:
        print(answer.get(timeout=flags.timeout))
    except gevent.Timeout:
        print("No answer")


waiters = [gevent.spawn(setter)]
waiters += [gevent.spawn(waiter, n + 1) for n in range(flags.waiters)]
gevent.joinall(waiters)
readers = [gevent.spawn(writer)] + [gevent.spawn(reader) for _ in range(flags.readers)]
gevent.joinall(readers)
tell_failures(waiters + readers)
