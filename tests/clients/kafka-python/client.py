"""kafka-python behind the language of ../README.md."""

import sys
import threading
import time
import zlib

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, OffsetAndMetadata, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, NewTopic
from kafka.coordinator.assignors.range import RangePartitionAssignor
from kafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from kafka.consumer.subscription_state import ConsumerRebalanceListener
from kafka.errors import KafkaError

try:
    from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
except ImportError:
    from kafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor as CooperativeStickyAssignor

STRATEGIES = {
    "range": RangePartitionAssignor,
    "roundrobin": RoundRobinPartitionAssignor,
    "cooperative": CooperativeStickyAssignor,
}


def say(*fields):
    sys.stdout.write("\t".join(str(field) for field in fields) + "\n")
    sys.stdout.flush()


def produce(options):
    codec = options.get("codec", "none")
    idempotent = options.get("idempotent") == "1"
    settings = dict(
        bootstrap_servers=options["bootstrap"],
        acks="all",
        compression_type=None if codec == "none" else codec,
        linger_ms=int(options.get("linger", 5)),
        max_request_size=8 << 20,
        max_block_ms=60000,
        delivery_timeout_ms=90000,
        request_timeout_ms=15000,
        enable_idempotence=idempotent,
    )
    if not idempotent:
        settings["retries"] = 100
    producer = KafkaProducer(**settings)
    failures = []

    def acked(line):
        return lambda metadata: say("acked", metadata.partition, metadata.offset, line)

    line = 0
    for text in sys.stdin:
        key, value = text.rstrip("\n").split("\t", 1)
        headers = [("line", str(line).encode()), ("empty", b"")] if options.get("headers") else None
        timestamp = int(options["timestamp"]) + 1000 * line if "timestamp" in options else None
        future = producer.send(
            options["topic"], key=key.encode() or None, value=value.encode(), headers=headers, timestamp_ms=timestamp
        )
        future.add_callback(acked(line))
        future.add_errback(failures.append)
        line += 1
    producer.flush()
    producer.close()
    if failures:
        sys.exit("not acknowledged: %d records, the first: %r" % (len(failures), failures[0]))


class Listener(ConsumerRebalanceListener):
    def on_partitions_assigned(self, assigned):
        say("time", time.time_ns())
        say("assigned", ",".join(str(p.partition) for p in sorted(assigned)))

    def on_partitions_revoked(self, revoked):
        say("revoked", ",".join(str(p.partition) for p in sorted(revoked)))

    def on_partitions_lost(self, lost):
        self.on_partitions_revoked(lost)


def consumer_of(options):
    group = options.get("group")
    settings = dict(
        bootstrap_servers=options["bootstrap"],
        group_id=group,
        auto_offset_reset=options.get("reset", "earliest"),
        enable_auto_commit=group is not None and options.get("commit") != "told",
        auto_commit_interval_ms=1000,
        max_partition_fetch_bytes=8 << 20,
        fetch_max_wait_ms=100,
    )
    if group:
        settings.update(
            session_timeout_ms=6000,
            heartbeat_interval_ms=500,
            partition_assignment_strategy=[STRATEGIES[options.get("strategy", "range")]],
        )
    if "instance" in options:
        settings["group_instance_id"] = options["instance"]
    return KafkaConsumer(**settings)


def place(consumer, partition, origin):
    if origin == "earliest":
        consumer.seek_to_beginning(partition)
    elif origin == "latest":
        consumer.seek_to_end(partition)
    elif origin.startswith("offset:"):
        consumer.seek(partition, int(origin[7:]))
    elif origin.startswith("time:"):
        found = consumer.offsets_for_times({partition: int(origin[5:])})[partition]
        if found is None:
            consumer.seek_to_end(partition)
        else:
            consumer.seek(partition, found.offset)


def commit(consumer, topic, offsets):
    """Commits and says when it began, what it is, and whether it was acknowledged."""
    say("time", time.time_ns())
    say("committing", ",".join("%d=%d" % entry for entry in sorted(offsets.items())))
    try:
        places = {TopicPartition(topic, partition): OffsetAndMetadata(offset, "", -1) for partition, offset in offsets.items()}
        consumer.commit(places)
        refused = None
    except KafkaError as error:
        refused = error
    say("time", time.time_ns())
    if refused:
        sys.stderr.write("not committed: %r\n" % refused)
    say("uncommitted" if refused else "committed")


def consume(options):
    consumer = consumer_of(options)
    if "partition" in options:
        partition = TopicPartition(options["topic"], int(options["partition"]))
        consumer.assign([partition])
        if "from" in options:
            place(consumer, partition, options["from"])
    else:
        consumer.subscribe([options["topic"]], listener=Listener())
    ended = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
    left = int(options.get("count", 1 << 60))
    told = options.get("commit") == "told"
    while left > 0 and not ended.is_set():
        read = {}
        for records in consumer.poll(timeout_ms=200, max_records=min(left, 500)).values():
            for record in records:
                headers = ";".join("%s=%s" % (name, (value or b"").decode()) for name, value in record.headers)
                key = (record.key or b"").decode()
                value = record.value or b""
                say("record", record.partition, record.offset, record.timestamp, key, len(value), zlib.crc32(value), headers)
                read[record.partition] = record.offset + 1
                left -= 1
        if read and told:
            commit(consumer, options["topic"], read)
    if options.get("group") and not told:
        consumer.commit()
    consumer.close()


def admin(options, configs):
    client = KafkaAdminClient(bootstrap_servers=options["bootstrap"])
    topic = options["topic"]
    if options["action"] == "create":
        client.create_topics([NewTopic(topic, int(options["partitions"]), 1, topic_configs=configs)])
    elif options["action"] == "delete":
        client.delete_topics([topic])
    elif options["action"] == "alter":
        client.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, configs=configs)])
    else:
        say("partitions", len(client.describe_topics([topic])[0]["partitions"]))
        describe(client, topic)
    client.close()


def describe(client, topic):
    described = client.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
    if isinstance(described, dict):
        for settings in described.values():
            for entries in settings.values() if isinstance(settings, dict) else [settings]:
                for name, value in entries.items():
                    say("config", name, value["value"] if isinstance(value, dict) else value)
        return
    for answer in described:
        for resource in answer.resources:
            for entry in resource[4]:
                say("config", entry[0], entry[1])


def main():
    verb, *words = sys.argv[1:]
    options, configs = {}, {}
    for word in words:
        name, value = word.split("=", 1)
        if name == "config":
            configs.update([value.split(":", 1)])
        else:
            options[name] = value
    if verb == "produce":
        produce(options)
    elif verb == "consume":
        consume(options)
    elif verb == "admin":
        admin(options, configs)
    else:
        sys.exit("no verb " + verb)


if __name__ == "__main__":
    main()
