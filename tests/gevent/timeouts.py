import gevent
from gevent import Timeout

from flags import Flags, fails

arguments = Flags(unit=0.1)
arguments.time("timeout", 1)
arguments.time("first", 20)
arguments.time("second", 20)
arguments.time("third", 20)
arguments.time("fourth", 100)
arguments.count("fail-every", 0)
flags = arguments.parse()


def work(number, time):
    gevent.sleep(time)
    if fails(flags.fail_every, number):
        raise RuntimeError("no result")


class TooLong(Exception):
    pass


timeout = Timeout(flags.timeout)
timeout.start()
try:
    gevent.spawn(work, 1, flags.first).join()
    print("Thread 1 is done")
except Timeout:
    print("Thread 1 timed out")
finally:
    timeout.cancel()

Timeout.start_new(flags.timeout)
try:
    gevent.spawn(work, 2, flags.second).get()
    print("Thread 2 is done")
except Timeout:
    print("Thread 2 timed out")
except RuntimeError as error:
    print("Thread 2: %s" % error)

LATE = object()
try:
    result = gevent.with_timeout(flags.timeout, work, 3, flags.third, timeout_value=LATE)
    print("Thread 3 timed out" if result is LATE else "Thread 3 is done")
except Timeout:
    print("Thread 3 was disturbed")
except RuntimeError as error:
    print("Thread 3: %s" % error)

try:
    with Timeout(flags.timeout, TooLong):
        work(4, flags.fourth)
    print("Thread 4 is done")
except TooLong:
    print("TooLong")
except Timeout:
    print("Thread 4 was disturbed")
except RuntimeError as error:
    print("Thread 4: %s" % error)
