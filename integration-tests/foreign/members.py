"""Starts, watches and kills the member processes of python/member.py."""

import json
import subprocess
import sys
import threading

import tools

MEMBER = tools.FOREIGN / "python" / "member.py"


class Member:
    """A consumer in its own process; everything it prints is collected by a thread."""

    def __init__(self, client, group, topic, strategy, instance=None):
        command = [sys.executable, MEMBER, client, tools.bootstrap(), group, topic, strategy]
        if instance:
            command.append(instance)
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.assignments = [[]]
        self.values = []
        self.closed = False
        self.errors = ""
        self.readers = [threading.Thread(target=read) for read in (self._read, self._read_errors)]
        for reader in self.readers:
            reader.start()

    @property
    def assignment(self):
        return self.assignments[-1]

    def _read(self):
        for line in self.process.stdout:
            event = json.loads(line)
            if "assignment" in event:
                self.assignments.append(event["assignment"])
            elif "value" in event:
                self.values.append(event["value"])
            elif "closed" in event:
                self.closed = True

    def _read_errors(self):
        self.errors = self.process.stderr.read()

    def leave(self):
        """Leaves the group in good order."""
        self.process.terminate()
        self._wait()
        assert self.closed, f"the member did not close: {self.errors}"

    def kill(self):
        """kill -9: the broker hears nothing of it but the silence."""
        self.process.kill()
        self._wait()

    def _wait(self):
        self.process.wait(60)
        for reader in self.readers:
            reader.join()


class Members:
    """A group's members; leaving the block kills whoever is still there."""

    def __init__(self, client, group, topic, strategy):
        self.arguments = (client, group, topic, strategy)
        self.all = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for member in self.all:
            if member.process.poll() is None:
                member.kill()

    def add(self, instance=None):
        member = Member(*self.arguments, instance)
        self.all.append(member)
        return member

    def values(self):
        return sorted(value for member in self.all for value in member.values)

    def wait_for_shares(self, members, partitions, what):
        """Until the given members share all partitions, each its fair part, nothing twice."""

        def fair():
            for member in members:
                if member.process.poll() is not None:
                    raise AssertionError(f"{what}: a member ended: {member.errors}")
            shares = [member.assignment for member in members]
            together = sorted(partition for share in shares for partition in share)
            sizes = [len(share) for share in shares]
            return together == list(range(partitions)) and max(sizes) - min(sizes) <= 1

        tools.wait_until(fair, f"{what}: {[m.assignment for m in members]}", deadline=90)

    def wait_for_values(self, expected, what):
        expected = set(expected)
        tools.wait_until(lambda: expected <= set(self.values()), f"{what}: all values", deadline=90)


def rebalance_story(client, strategy, group, topic, produce):
    """Members come, leave in good order and are killed; no record is missed.

    `produce(values)` writes the values over all four partitions of `topic`.
    """
    with Members(client, group, topic, strategy) as members:
        first = members.add()
        members.wait_for_shares([first], 4, "the first member alone")
        second = members.add()
        members.wait_for_shares([first, second], 4, "two members")
        third = members.add()
        members.wait_for_shares([first, second, third], 4, "three members")
        early = [f"early-{number}" for number in range(40)]
        produce(early)
        members.wait_for_values(early, "three members")
        third.leave()
        members.wait_for_shares([first, second], 4, "after one left")
        second.kill()
        members.wait_for_shares([first], 4, "after one was killed")
        late = [f"late-{number}" for number in range(20)]
        produce(late)
        members.wait_for_values(late, "the survivor")
        assert not [value for value in late if value not in first.values]
        first.leave()


def static_story(client, strategy, group, topic):
    """A static member that restarts within its session gets its partitions back, undisturbed others."""
    with Members(client, group, topic, strategy) as members:
        first = members.add("instance-1")
        members.wait_for_shares([first], 4, "the first static member")
        second = members.add("instance-2")
        members.wait_for_shares([first, second], 4, "two static members")
        share, seen = second.assignment, len(first.assignments)
        second.kill()
        again = members.add("instance-2")
        members.wait_for_shares([first, again], 4, "the static member is back")
        assert again.assignment == share, "a static member keeps its partitions"
        assert len(first.assignments) == seen, "no rebalance reached the other member"
