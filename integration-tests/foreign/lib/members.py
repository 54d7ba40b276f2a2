"""Members of consumer groups as processes of their own, and the stories that every client plays.

A member prints one JSON object a line: {"assignment": [partitions]} whenever it changes, {"value":
text} for every record before its offset is committed, {"closed": true} when it has left in good
order. python/member.py, java/Member.java and node/member.js do; kcat has its own way and a subclass.
"""

import json
import subprocess
import sys
import threading

import tools

# The shortest session a broker allows: a killed member is missed soon.
SHORT_SESSION = 6000
# Longer than any restart takes, on any machine: a static member is back within it.
LONG_SESSION = 120_000
PARTITIONS = 4


def python_member(client, group, topic, strategy, session=SHORT_SESSION, instance=None):
    """The command line of a member of kafka-python or confluent-kafka."""
    member = tools.FOREIGN / "python" / "member.py"
    command = [sys.executable, member, client, tools.bootstrap(), group, topic, strategy, session]
    return [*command, instance] if instance else command


class Member:
    """A consumer in its own process; everything it prints is collected by a thread."""

    def __init__(self, command):
        self.process = subprocess.Popen(
            list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.assignments = [[]]
        self.values = []
        self.closed = False
        self.errors = []
        self.readers = [threading.Thread(target=read) for read in (self._read, self._read_errors)]
        for reader in self.readers:
            reader.start()

    @property
    def assignment(self):
        return self.assignments[-1]

    def _read(self):
        for line in self.process.stdout:
            self.take(line)

    def _read_errors(self):
        for line in self.process.stderr:
            self.take_error(line)

    def take(self, line):
        """One line of standard output."""
        event = json.loads(line)
        if "assignment" in event:
            self.assignments.append(event["assignment"])
        elif "value" in event:
            self.values.append(event["value"])
        elif "closed" in event:
            self.closed = True

    def take_error(self, line):
        """One line of standard error."""
        self.errors.append(line)

    def leave(self):
        """Leaves the group in good order."""
        self.process.terminate()
        self._wait()
        assert self.closed, f"the member did not close: {''.join(self.errors)}"

    def kill(self):
        """kill -9: the broker hears nothing of it but the silence."""
        self.process.kill()
        self._wait()

    def _wait(self):
        self.process.wait(60)
        for reader in self.readers:
            reader.join()


class Members:
    """A group's members; leaving the block kills whoever is still there.

    `start(**options)` starts one of them.
    """

    def __init__(self, start):
        self.start = start
        self.all = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for member in self.all:
            if member.process.poll() is None:
                member.kill()

    def add(self, **options):
        member = self.start(**options)
        self.all.append(member)
        return member

    def values(self):
        """Every value that any member has read so far."""
        return {value for member in self.all for value in list(member.values)}

    def wait_for_shares(self, members, what):
        """Until the given members share all partitions, each its fair part, nothing twice."""

        def fair():
            for member in members:
                if member.process.poll() is not None:
                    raise AssertionError(f"{what}: a member ended: {''.join(member.errors)}")
            shares = [member.assignment for member in members]
            together = sorted(partition for share in shares for partition in share)
            sizes = [len(share) for share in shares]
            return together == list(range(PARTITIONS)) and max(sizes) - min(sizes) <= 1

        tools.wait_until(fair, lambda: f"{what}: {[m.assignment for m in members]}", deadline=90)

    def wait_for_values(self, expected, what, but=0):
        """Until the members have read all that is expected, but for so many values."""
        expected = set(expected)
        missing = lambda: sorted(expected - self.values())  # noqa: E731
        tools.wait_until(lambda: len(missing()) <= but, lambda: f"{what}: {missing()[:10]}", deadline=90)


class Stream:
    """Values that a thread writes all the time, over all partitions in turn, until the block ends.

    `send(value, partition)` writes one value and returns when the broker has it.
    """

    # Keeps the amount small; nothing is measured by it.
    PAUSE = 0.01

    def __init__(self, send):
        self.send = send
        self.sent = []
        self.failure = None
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self._run)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        """Gives every value that was written."""
        self.stopped.set()
        self.thread.join()
        if self.failure:
            raise AssertionError("the producer failed") from self.failure
        return self.sent

    def _run(self):
        try:
            while not self.stopped.wait(self.PAUSE):
                number = len(self.sent)
                self.send(f"value-{number}", number % PARTITIONS)
                self.sent.append(f"value-{number}")
        except BaseException as failure:
            self.failure = failure

    def next(self, count=2 * PARTITIONS):
        """Waits for values that are written from now on, and gives them."""
        begin = len(self.sent)
        tools.wait_until(lambda: self.failure or len(self.sent) >= begin + count, "the producer")
        assert not self.failure, self.failure
        return self.sent[begin : begin + count]


def rebalance_story(start, send, dropped=0):
    """Members come, leave in good order and are killed while records arrive; none is missed.

    `dropped` is how many records a client itself loses when it leaves.
    """
    with Stream(send) as stream, Members(start) as members:
        first = members.add()
        members.wait_for_shares([first], "the first member alone")
        members.wait_for_values(stream.next(), "the first member alone")
        second = members.add()
        members.wait_for_shares([first, second], "two members")
        third = members.add()
        members.wait_for_shares([first, second, third], "three members")
        members.wait_for_values(stream.next(), "three members")
        third.leave()
        members.wait_for_shares([first, second], "after one left")
        members.wait_for_values(stream.next(), "after one left")
        second.kill()
        members.wait_for_shares([first], "after one was killed")
        late = stream.next()
        members.wait_for_values(late, "after one was killed")
        assert set(late) <= set(first.values), "the survivor reads every partition"
        members.wait_for_values(stream.stop(), "everything that was written", but=dropped)
        assert members.values() <= set(stream.sent), "nothing else was read"
        first.leave()


def static_story(start):
    """A static member that restarts within its session gets its partitions back, undisturbed others."""
    with Members(start) as members:
        first = members.add(session=LONG_SESSION, instance="instance-1")
        members.wait_for_shares([first], "the first static member")
        second = members.add(session=LONG_SESSION, instance="instance-2")
        members.wait_for_shares([first, second], "two static members")
        share, seen = second.assignment, len(first.assignments)
        second.kill()
        again = members.add(session=LONG_SESSION, instance="instance-2")
        members.wait_for_shares([first, again], "the static member is back")
        assert again.assignment == share, "a static member keeps its partitions"
        assert len(first.assignments) == seen, "no rebalance reached the other member"
