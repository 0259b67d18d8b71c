"""aiokafka behind the language of ../README.md."""

import asyncio
import sys
import threading
import zlib

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor

STRATEGIES = {"range": RangePartitionAssignor, "roundrobin": RoundRobinPartitionAssignor}


def say(*fields):
    sys.stdout.write("\t".join(str(field) for field in fields) + "\n")
    sys.stdout.flush()


async def produce(options):
    codec = options.get("codec", "none")
    producer = AIOKafkaProducer(
        bootstrap_servers=options["bootstrap"],
        acks="all",
        compression_type=None if codec == "none" else codec,
        enable_idempotence=options.get("idempotent") == "1",
        linger_ms=int(options.get("linger", 5)),
        max_request_size=8 << 20,
        request_timeout_ms=90000,
    )
    await producer.start()
    waiting, line = set(), 0

    async def acked(future, number):
        metadata = await future
        say("acked", metadata.partition, metadata.offset, number)

    loop = asyncio.get_running_loop()
    while text := await loop.run_in_executor(None, sys.stdin.readline):
        key, value = text.rstrip("\n").split("\t", 1)
        headers = [("line", str(line).encode()), ("empty", b"")] if options.get("headers") else None
        timestamp = int(options["timestamp"]) + 1000 * line if "timestamp" in options else None
        future = await producer.send(
            options["topic"], key=key.encode() or None, value=value.encode(), headers=headers, timestamp_ms=timestamp
        )
        waiting.add(asyncio.ensure_future(acked(future, line)))
        line += 1
    await producer.flush()
    await asyncio.gather(*waiting)
    await producer.stop()


class Listener(ConsumerRebalanceListener):
    async def on_partitions_assigned(self, assigned):
        say("assigned", ",".join(str(p.partition) for p in sorted(assigned)))

    async def on_partitions_revoked(self, revoked):
        say("revoked", ",".join(str(p.partition) for p in sorted(revoked)))


def consumer_of(options):
    group = options.get("group")
    settings = {}
    if group:
        settings["partition_assignment_strategy"] = [STRATEGIES[options.get("strategy", "range")]]
    return AIOKafkaConsumer(
        bootstrap_servers=options["bootstrap"],
        group_id=group,
        group_instance_id=options.get("instance"),
        auto_offset_reset=options.get("reset", "earliest"),
        enable_auto_commit=group is not None,
        auto_commit_interval_ms=1000,
        session_timeout_ms=6000,
        heartbeat_interval_ms=500,
        max_partition_fetch_bytes=8 << 20,
        fetch_max_wait_ms=100,
        **settings
    )


async def place(consumer, partition, origin):
    kind, _, number = origin.partition(":")
    if kind == "earliest":
        await consumer.seek_to_beginning(partition)
    elif kind == "latest":
        await consumer.seek_to_end(partition)
    elif kind == "offset":
        consumer.seek(partition, int(number))
    elif kind == "time":
        found = (await consumer.offsets_for_times({partition: int(number)}))[partition]
        if found is None:
            await consumer.seek_to_end(partition)
        else:
            consumer.seek(partition, found.offset)


async def consume(options):
    consumer = consumer_of(options)
    partition = None
    if "partition" in options:
        partition = TopicPartition(options["topic"], int(options["partition"]))
        consumer.assign([partition])
    else:
        consumer.subscribe([options["topic"]], listener=Listener())
    await consumer.start()
    if partition and "from" in options:
        await place(consumer, partition, options["from"])
    # A thread of the loop's pool would keep the program from ending while its input is open.
    ended = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
    left = int(options.get("count", 1 << 60))
    while left > 0 and not ended.is_set():
        batches = await consumer.getmany(timeout_ms=200, max_records=min(left, 500))
        for records in batches.values():
            for record in records:
                headers = ";".join("%s=%s" % (name, (value or b"").decode()) for name, value in record.headers)
                key, value = (record.key or b"").decode(), record.value or b""
                say("record", record.partition, record.offset, record.timestamp, key, len(value), zlib.crc32(value), headers)
                left -= 1
    await consumer.stop()


async def admin(options, configs):
    client = AIOKafkaAdminClient(bootstrap_servers=options["bootstrap"])
    await client.start()
    topic = options["topic"]
    if options["action"] == "create":
        answer = await client.create_topics(
            [NewTopic(topic, int(options["partitions"]), 1, topic_configs=configs)]
        )
        refuse([error[1] for error in answer.topic_errors])
    elif options["action"] == "delete":
        answer = await client.delete_topics([topic])
        refuse([error[1] for error in answer.topic_error_codes])
    elif options["action"] == "alter":
        for answer in await client.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, configs=configs)]):
            refuse([resource[0] for resource in answer.resources])
    else:
        described = (await client.describe_topics([topic]))[0]
        say("partitions", len(described["partitions"]))
        for answer in await client.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)]):
            for resource in answer.resources:
                for entry in resource[4]:
                    say("config", entry[0], entry[1])
    await client.close()


def refuse(codes):
    if any(codes):
        sys.exit("refused with codes %s" % codes)


def main():
    verb, *words = sys.argv[1:]
    options, configs = {}, {}
    for word in words:
        name, value = word.split("=", 1)
        if name == "config":
            configs.update([value.split(":", 1)])
        else:
            options[name] = value
    verbs = {
        "produce": lambda: produce(options),
        "consume": lambda: consume(options),
        "admin": lambda: admin(options, configs),
    }
    if verb not in verbs:
        sys.exit("no verb " + verb)
    asyncio.run(verbs[verb]())


if __name__ == "__main__":
    main()
