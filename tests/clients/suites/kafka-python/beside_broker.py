"""A pytest plugin: runs kafka-python's integration tests beside a broker that is there already.

Their fixtures import `test.service`, which the source distribution does not have, although with `KAFKA_URI` they only
ask it for an address. The folder `test` has no `__init__.py` there either, so that Python's own package of that name
would be found. Both are supplied here, in memory.

kafka-python 3.0.12 forgets a subscription that is made while its first metadata request is under way, until the next
one five minutes later; beside Apache Kafka it does so, too. Consumers here therefore wait for the first before they
subscribe.

What becomes of each test is printed as lines with tabs:
`collected test` and `verdict test outcome reason`.
"""

import os
import sys
import types


class ExternalService:
    """A broker that somebody else started."""

    def __init__(self, host, port):
        self.host, self.port = host, port

    def dump_logs(self):
        pass


class SpawnedService:
    """A Kafka of their own: not here."""

    def __init__(self, *_args, **_kwargs):
        raise RuntimeError("this test starts a Kafka of its own")


def supply():
    package = types.ModuleType("test")
    package.__path__ = [os.path.join(os.getcwd(), "test")]
    service = types.ModuleType("test.service")
    service.ExternalService, service.SpawnedService = ExternalService, SpawnedService
    sys.modules["test"], sys.modules["test.service"] = package, service


supply()

BOOTSTRAP_MS = 10_000
OUTPUT = os.dup(1)


def pytest_configure():
    from kafka import KafkaConsumer

    subscribe = KafkaConsumer.subscribe

    def subscribe_after_bootstrap(self, *args, **kwargs):
        self.bootstrap(timeout_ms=BOOTSTRAP_MS)
        return subscribe(self, *args, **kwargs)

    KafkaConsumer.subscribe = subscribe_after_bootstrap


def say(*fields):
    # Past pytest's capture, and on a line of its own.
    line = "\t".join(str(field).replace("\n", "; ").replace("\t", " ") for field in fields)
    os.write(OUTPUT, ("\n" + line + "\n").encode())


def pytest_collection_finish(session):
    if session.config.option.collectonly:
        for item in session.items:
            say("collected", item.nodeid)


def reason_of(report):
    if report.skipped and isinstance(report.longrepr, tuple):
        return report.longrepr[2]
    lines = [line for line in str(report.longrepr).splitlines() if line.startswith("E ")]
    return " ".join(line[1:].strip() for line in lines[:3])


def pytest_runtest_logreport(report):
    # Setting up and cleaning up say something only when they did not go well.
    if report.when == "call" or not report.passed:
        say("verdict", report.nodeid, report.outcome, "" if report.passed else reason_of(report))
