#!/usr/bin/env python3
"""Runs a real single-node Apache Kafka (KRaft) from the prepared jars.

    kafka_server.py [--port N] [--set key=value]... [-- command...]
    kafka_server.py --listener SSL --listener SASL_SSL --user NAME:PASSWORD --tls DIR --stdin

With a command, runs it with ORACLE (and, unless set already, BOOTSTRAP) in its environment, stops
Kafka and exits with the command's code. Without one, prints the bootstrap address and runs until
it is interrupted; with --stdin, until its standard input ends, so that it never outlives a process
that holds the other end. A line there, `restart` or `kill`, has it stopped in order or killed and
started again on what it has; then it prints `ready` once more. It is the oracle of the differential tests and the judge of every other
suite.

PLAINTEXT listens always. Each --listener is another one, named as its security protocol, or
NAME:PROTOCOL. After the bootstrap address each listener's is printed as `NAME host:port`; the last
line is `ready`. --advertise NAME=host:port has clients sent somewhere else. Every --user may log in
by PLAIN and SCRAM. --tls names a directory with `server.pem` (key and certificates) and `ca.pem`
(whom a client's certificate has to be from).
"""

import argparse
import base64
import os
import pathlib
import queue
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import uuid

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "lib"))

import tools  # noqa: E402  (the path above has to be there first)

# What a single node of Apache Kafka needs beyond the file that both brokers are started with.
SINGLE_NODE = {
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "5",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
}

# SASL mechanism to the login module of Kafka that serves it, and whether that is told the users.
MECHANISMS = {
    "PLAIN": ("plain.PlainLoginModule", True),
    "SCRAM-SHA-256": ("scram.ScramLoginModule", False),
    "SCRAM-SHA-512": ("scram.ScramLoginModule", False),
}


class Kafka:
    """One Kafka process with its own temporary directory."""

    def __init__(
        self, port=None, overrides=None, heap="512m", listeners=(), advertise=None, users=None, tls=None
    ):
        # Kafka takes seconds to listen, and meanwhile others look for free ports.
        self.held = []
        self.port = port or self._hold_port()
        # Name to (security protocol, port).
        self.listeners = {"PLAINTEXT": ("PLAINTEXT", self.port)}
        for listener in listeners:
            name, _, protocol = listener.partition(":")
            self.listeners[name] = (protocol or name, self._hold_port())
        self.advertise = advertise or {}
        self.users = users or {}
        self.tls = tls
        self.controller_port = self._hold_port()
        self.overrides = overrides or {}
        self.heap = heap
        self.process = None

    def _hold_port(self):
        self.held.append(tools.hold_port())
        return self.held[-1].getsockname()[1]

    @property
    def address(self):
        return self.address_of("PLAINTEXT")

    def address_of(self, name):
        return f"127.0.0.1:{self.listeners[name][1]}"

    def __enter__(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="kafka-oracle-"))
        self.log = open(self.directory / "server.out", "wb")
        try:
            self._write_properties()
            self._format()
            self._start()
        except BaseException:
            self.__exit__(*sys.exc_info())
            raise
        return self

    def __exit__(self, kind, *_):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        for holder in self.held:
            holder.close()
        self.log.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _write_properties(self):
        properties = {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@127.0.0.1:{self.controller_port}",
            "listeners": ",".join(
                [f"{name}://{self.address_of(name)}" for name in self.listeners]
                + [f"CONTROLLER://127.0.0.1:{self.controller_port}"]
            ),
            "advertised.listeners": ",".join(
                f"{name}://{self.advertise.get(name, self.address_of(name))}" for name in self.listeners
            ),
            "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": ",".join(
                [f"{name}:{protocol}" for name, (protocol, _) in self.listeners.items()]
                + ["CONTROLLER:PLAINTEXT"]
            ),
            "log.dirs": str(self.directory / "data"),
            **SINGLE_NODE,
            **self._security(),
            **self.overrides,
        }
        text = (tools.FOREIGN / "common.properties").read_text()
        # A key that comes twice counts as its last line says.
        text += "".join(f"{key}={value}\n" for key, value in properties.items())
        self.properties = self.directory / "server.properties"
        self.properties.write_text(text)

    def _security(self):
        """What the listeners need that encrypt or ask who is there."""
        properties = {}
        for name, (protocol, _) in self.listeners.items():
            if protocol.startswith("SASL_"):
                prefix = f"listener.name.{name.lower()}"
                for mechanism, entries in MECHANISMS.items():
                    module, takes_users = entries
                    users = [f' user_{user}="{password}"' for user, password in self.users.items()]
                    properties[f"{prefix}.{mechanism.lower()}.sasl.jaas.config"] = (
                        f"org.apache.kafka.common.security.{module} required"
                        f"{''.join(users) if takes_users else ''};"
                    )
        if properties:
            properties["sasl.enabled.mechanisms"] = ",".join(MECHANISMS)
        if self.tls:
            properties |= {
                "ssl.keystore.type": "PEM",
                "ssl.keystore.location": str(self.tls / "server.pem"),
                "ssl.truststore.type": "PEM",
                "ssl.truststore.location": str(self.tls / "ca.pem"),
            }
        return properties

    def _format(self):
        # The first letter is fixed because the tool takes an id that begins with a dash for an option.
        cluster = "T" + base64.urlsafe_b64encode(uuid.uuid4().bytes).decode()[1:22]
        # With eligible leader replicas on, Kafka writes a cluster-wide min.insync.replicas by itself,
        # which then shows up in every answer about configs.
        command = tools.java_command(
            *("kafka.tools.StorageTool", "format", "-t", cluster, "-c", self.properties),
            *("--feature", "eligible.leader.replicas.version=0"),
            # PLAIN has its users in the properties, SCRAM in the metadata log.
            *(
                argument
                for mechanism in MECHANISMS
                if mechanism.startswith("SCRAM")
                for user, password in self.users.items()
                for argument in ("--add-scram", f"{mechanism}=[name={user},password={password}]")
            ),
        )
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode != 0:
            raise SystemExit(f"formatting the storage failed:\n{done.stdout}")

    def _start(self):
        command = tools.java_command("kafka.Kafka", self.properties, heap=self.heap)
        self.process = subprocess.Popen(
            command, stdout=self.log, stderr=subprocess.STDOUT, start_new_session=True
        )
        tools.wait_until(self._ready, "Kafka to answer ApiVersions", deadline=120, pause=0.2)

    def restart(self, how):
        self.process.kill() if how == "kill" else self.process.terminate()
        self.process.wait()
        self._start()

    def _ready(self):
        if self.process.poll() is not None:
            text = (self.directory / "server.out").read_text(errors="replace")
            raise SystemExit(f"Kafka ended with code {self.process.returncode}:\n{text[-4000:]}")
        return answers(self.address)


def answers(address):
    """True when a Kafka-speaking broker at `address` answers Metadata with at least one broker."""
    # Metadata version 1 for no topics, correlation id 7, no client id.
    request = bytes.fromhex("00030001" "00000007" "ffff" "00000000")
    try:
        with socket.create_connection(tools.split_address(address), timeout=2) as connection:
            connection.sendall(len(request).to_bytes(4, "big") + request)
            head = receive(connection, 4)
            body = receive(connection, int.from_bytes(head, "big"))
    except (OSError, EOFError):
        return False
    return int.from_bytes(body[4:8], "big") >= 1


def receive(connection, size):
    """Exactly `size` bytes from a socket."""
    data = b""
    while len(data) < size:
        more = connection.recv(size - len(data))
        if not more:
            raise EOFError
        data += more
    return data


def follow_stdin(commands):
    for line in sys.stdin:
        commands.put(line.strip())
    os.kill(os.getpid(), signal.SIGTERM)


def follow(kafka, commands):
    """Does what is said until Kafka ends by itself."""
    while kafka.process.poll() is None:
        try:
            kafka.restart(commands.get(timeout=0.5))
        except queue.Empty:
            continue
        print("ready", flush=True)
    sys.exit(f"Kafka ended with code {kafka.process.returncode}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--port", type=int)
    parser.add_argument("--heap", default="512m")
    parser.add_argument("--set", action="append", default=[], metavar="key=value")
    parser.add_argument("--listener", action="append", default=[], metavar="NAME[:PROTOCOL]")
    parser.add_argument("--advertise", action="append", default=[], metavar="NAME=host:port")
    parser.add_argument("--user", action="append", default=[], metavar="NAME:PASSWORD")
    parser.add_argument("--tls", type=pathlib.Path, metavar="DIR")
    parser.add_argument("--stdin", action="store_true")
    parser.add_argument("command", nargs="*")
    arguments = parser.parse_args()
    overrides = dict(item.split("=", 1) for item in arguments.set)
    security = {
        "listeners": arguments.listener,
        "advertise": dict(item.split("=", 1) for item in arguments.advertise),
        "users": dict(item.split(":", 1) for item in arguments.user),
        "tls": arguments.tls,
    }
    # A plain kill must still stop the Java process and remove its directory.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    commands = queue.Queue()
    if arguments.stdin:
        # The end of the input is as good as a plain kill, also while Kafka is starting.
        threading.Thread(target=follow_stdin, args=[commands], daemon=True).start()
    with Kafka(arguments.port, overrides, arguments.heap, **security) as kafka:
        if arguments.command:
            environment = {"BOOTSTRAP": kafka.address, **os.environ, "ORACLE": kafka.address}
            sys.exit(subprocess.run(arguments.command, env=environment).returncode)
        print(kafka.address)
        for listener in kafka.listeners:
            print(listener, kafka.address_of(listener))
        print("ready", flush=True)
        try:
            follow(kafka, commands)
        except KeyboardInterrupt:
            pass


if __name__ == "__main__":
    main()
