import gevent

from flags import Flags, fails

arguments = Flags(unit=0.01)
arguments.count("greenlets", 2)
arguments.time("step", 0)
arguments.limit("timeout", 0)
arguments.count("fail-every", 2)
flags = arguments.parse()


def play(number):
    if flags.step > 0:
        gevent.sleep(number * flags.step)
    if fails(flags.fail_every, number):
        raise RuntimeError("You fail at failing.")
    return "You win!"


def failure(player):
    return player.exception if player.ready() else "late"


players = [gevent.spawn(play, n + 1) for n in range(flags.greenlets)]
print(*[player.started for player in players])
gevent.joinall(players, timeout=flags.timeout)
fields = [player.value for player in players]
fields += [player.ready() for player in players]
fields += [player.successful() for player in players]
fields += [failure(player) for player in players if not player.successful()]
print(*fields, sep="|")
