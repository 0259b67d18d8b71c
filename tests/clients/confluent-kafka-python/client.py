"""confluent-kafka-python, and with it a current librdkafka, behind the language of ../README.md."""

import sys
import threading
import time
import zlib

from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourceType,
)

STRATEGIES = {"range": "range", "roundrobin": "roundrobin", "cooperative": "cooperative-sticky"}
WAIT_S = 30


def say(*fields):
    sys.stdout.write("\t".join(str(field) for field in fields) + "\n")
    sys.stdout.flush()


def poll_until(producer, ended):
    while not ended.is_set():
        producer.poll(0.05)


def produce(options):
    producer = Producer(
        {
            "bootstrap.servers": options["bootstrap"],
            "acks": "all",
            "compression.type": options.get("codec", "none"),
            "enable.idempotence": options.get("idempotent") == "1",
            "linger.ms": int(options.get("linger", 5)),
            "message.max.bytes": 8 << 20,
            "queue.buffering.max.messages": 1000000,
            "message.timeout.ms": 90000,
        }
    )
    failures = []

    def deliver(line):
        def delivered(error, message):
            if error is None:
                say("acked", message.partition(), message.offset(), line)
            else:
                failures.append(error)

        return delivered

    # Deliveries are told while the input has nothing to say, too.
    ended = threading.Event()
    poller = threading.Thread(target=poll_until, args=(producer, ended))
    poller.start()
    line = 0
    for text in sys.stdin:
        key, value = text.rstrip("\n").split("\t", 1)
        more = {}
        if options.get("headers"):
            more["headers"] = [("line", str(line).encode()), ("empty", b"")]
        if "timestamp" in options:
            more["timestamp"] = int(options["timestamp"]) + 1000 * line
        while True:
            try:
                producer.produce(
                    options["topic"], key=key.encode() or None, value=value.encode(), on_delivery=deliver(line), **more
                )
                break
            except BufferError:
                producer.poll(0.1)
        line += 1
    left = producer.flush(120)
    ended.set()
    poller.join()
    if failures or left:
        sys.exit("not acknowledged: %d records, %d unknown, the first: %s" % (len(failures), left, failures[:1]))


def assigned(_consumer, partitions):
    say("time", time.time_ns())
    say("assigned", ",".join(str(p.partition) for p in sorted(partitions, key=lambda p: p.partition)))


def revoked(_consumer, partitions):
    say("revoked", ",".join(str(p.partition) for p in sorted(partitions, key=lambda p: p.partition)))


def consumer_of(options):
    settings = {
        "bootstrap.servers": options["bootstrap"],
        "group.id": options.get("group", "none"),
        "auto.offset.reset": options.get("reset", "earliest"),
        "enable.auto.commit": "group" in options and options.get("commit") != "told",
        "auto.commit.interval.ms": 1000,
        "session.timeout.ms": 6000,
        "heartbeat.interval.ms": 500,
        "fetch.wait.max.ms": 100,
        "partition.assignment.strategy": STRATEGIES[options.get("strategy", "range")],
    }
    if "instance" in options:
        settings["group.instance.id"] = options["instance"]
    return Consumer(settings)


def place(consumer, topic, partition, origin):
    kind, _, number = origin.partition(":")
    if kind == "time":
        return consumer.offsets_for_times([TopicPartition(topic, partition, int(number))], timeout=WAIT_S)[0]
    offset = {"earliest": OFFSET_BEGINNING, "latest": OFFSET_END}.get(kind)
    return TopicPartition(topic, partition, int(number) if offset is None else offset)


def commit(consumer, topic, offsets):
    """Commits and says when it began, what it is, and whether it was acknowledged."""
    say("time", time.time_ns())
    say("committing", ",".join("%d=%d" % entry for entry in sorted(offsets.items())))
    try:
        places = [TopicPartition(topic, partition, offset) for partition, offset in offsets.items()]
        answers = consumer.commit(offsets=places, asynchronous=False)
        refused = [answer.error for answer in answers if answer.error]
    except KafkaException as error:
        refused = [error]
    say("time", time.time_ns())
    if refused:
        sys.stderr.write("not committed: %s\n" % refused)
    say("uncommitted" if refused else "committed")


def consume(options):
    consumer = consumer_of(options)
    topic = options["topic"]
    if "partition" in options:
        consumer.assign([place(consumer, topic, int(options["partition"]), options.get("from", "earliest"))])
    else:
        consumer.subscribe([topic], on_assign=assigned, on_revoke=revoked)
    ended = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
    left = int(options.get("count", 1 << 60))
    while left > 0 and not ended.is_set():
        read = {}
        for record in consumer.consume(min(left, 500), timeout=0.2):
            if record.error():
                sys.stderr.write("%s\n" % record.error())
                continue
            headers = ";".join("%s=%s" % (name, (value or b"").decode()) for name, value in record.headers() or [])
            key, value = (record.key() or b"").decode(), record.value() or b""
            say("record", record.partition(), record.offset(), record.timestamp()[1], key, len(value), zlib.crc32(value), headers)
            read[record.partition()] = record.offset() + 1
            left -= 1
        if read and options.get("commit") == "told":
            commit(consumer, topic, read)
    consumer.close()


def admin(options, configs):
    client = AdminClient({"bootstrap.servers": options["bootstrap"]})
    topic = options["topic"]
    resource = ConfigResource(ResourceType.TOPIC, topic)
    if options["action"] == "create":
        futures = client.create_topics([NewTopic(topic, int(options["partitions"]), 1, config=configs)])
    elif options["action"] == "delete":
        futures = client.delete_topics([topic])
    elif options["action"] == "alter":
        for name, value in configs.items():
            resource.add_incremental_config(
                ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
            )
        futures = client.incremental_alter_configs([resource])
    else:
        say("partitions", len(client.list_topics(topic, timeout=WAIT_S).topics[topic].partitions))
        for entries in client.describe_configs([resource]).values():
            for name, entry in entries.result(WAIT_S).items():
                say("config", name, entry.value)
        return
    for future in futures.values():
        future.result(WAIT_S)


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
