"""Writes the python-*.bin files of this directory with kafka-python 3.0.

Needs kafka-python, python-snappy, lz4 and zstandard. Argument: the directory to write to.
The records are those of Generate.java's `small` and `large`.
"""
import pathlib
import sys

import kafka.codec
from kafka.record import default_records
from kafka.record.default_records import DefaultRecordBatchBuilder

DIRECTORY = pathlib.Path(sys.argv[1])
CODECS = {"none": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}
BASE = 1_700_000_000_000
SMALL = [
    (BASE, b"key-0", b"value-0" * 40, [("trace", b"a1"), ("empty", None)]),
    (BASE + 500, None, b"value-1" * 40, []),
    (BASE - 250, b"key-2", None, []),
]
LARGE = [
    (BASE + i, b"key-%d" % i, b"value-%d of a batch that takes several blocks in every framing" % i, [])
    for i in range(4000)
]


def write(name, codec, records, producer):
    builder = DefaultRecordBatchBuilder(2, CODECS[codec], False, *producer, batch_size=1 << 30)
    for offset, (timestamp, key, value, headers) in enumerate(records):
        builder.append(offset, timestamp, key, value, headers)
    (DIRECTORY / name).write_bytes(bytes(builder.build()))


for codec in CODECS:
    write(f"python-small-{codec}.bin", codec, SMALL, (4000, 5, 17))
    if codec != "none":
        write(f"python-large-{codec}.bin", codec, LARGE, (-1, -1, -1))

# franz-go sends snappy as one raw block; the same C library, without Java's framing.
framed = kafka.codec.snappy_encode
default_records.snappy_encode = lambda payload: framed(payload, xerial_compatible=False)
write("python-small-snappy-raw.bin", "snappy", SMALL, (4000, 5, 17))
write("python-large-snappy-raw.bin", "snappy", LARGE, (-1, -1, -1))
