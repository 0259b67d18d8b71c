// Writes the java-*.bin files of this directory with Kafka's own client library (kafka-clients 4.3.1).
// Class path: kafka-clients and its runtime dependencies. Argument: the directory to write to.
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.*;
import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.record.TimestampType;
import org.apache.kafka.common.record.internal.*;

public class Generate {
    static Path directory;

    public static void main(String[] arguments) throws Exception {
        directory = Path.of(arguments[0]);
        for (String codec : new String[] {"none", "gzip", "snappy", "lz4", "zstd"}) {
            write("java-small-" + codec + ".bin", small(compression(codec)));
            if (!codec.equals("none")) write("java-large-" + codec + ".bin", large(compression(codec)));
        }
        write("java-commit.bin", MemoryRecords.withEndTransactionMarker(7, 1_700_000_000_000L, 3, 4000L, (short) 5,
            new EndTransactionMarker(ControlRecordType.COMMIT, 9)));
        write("java-abort.bin", MemoryRecords.withEndTransactionMarker(8, 1_700_000_000_001L, 3, 4000L, (short) 5,
            new EndTransactionMarker(ControlRecordType.ABORT, 9)));
        write("java-transactional.bin", MemoryRecords.withTransactionalRecords(11, Compression.NONE, 4000L, (short) 5,
            Integer.MAX_VALUE, 3, record(0), record(1)));
        write("java-log-append-time.bin", logAppendTime());
    }

    // Three records: all fields, nulls and a tombstone. The largest timestamp is the second record's.
    static MemoryRecords small(Compression compression) {
        return MemoryRecords.withRecords(RecordBatch.MAGIC_VALUE_V2, 0L, compression, TimestampType.CREATE_TIME,
            4000L, (short) 5, 17, 2, false, record(0), record(1), record(2));
    }

    static SimpleRecord record(int index) {
        byte[] key = index == 1 ? null : bytes("key-" + index);
        byte[] value = index == 2 ? null : bytes(("value-" + index).repeat(40));
        Header[] headers = index == 0
            ? new Header[] {new RecordHeader("trace", bytes("a1")), new RecordHeader("empty", (byte[]) null)}
            : new Header[0];
        return new SimpleRecord(1_700_000_000_000L + new long[] {0, 500, -250}[index], key, value, headers);
    }

    // 4,000 records, some 300 kB: several blocks in every framing.
    static MemoryRecords large(Compression compression) {
        SimpleRecord[] records = new SimpleRecord[4000];
        for (int index = 0; index < records.length; index++) {
            records[index] = new SimpleRecord(1_700_000_000_000L + index, bytes("key-" + index),
                bytes("value-" + index + " of a batch that takes several blocks in every framing"));
        }
        return MemoryRecords.withRecords(compression, records);
    }

    static MemoryRecords logAppendTime() {
        MemoryRecords records = small(Compression.gzip().build());
        for (MutableRecordBatch batch : records.batches())
            batch.setMaxTimestamp(TimestampType.LOG_APPEND_TIME, 1_800_000_000_000L);
        return records;
    }

    static Compression compression(String codec) {
        switch (codec) {
            case "gzip": return Compression.gzip().build();
            case "snappy": return Compression.snappy().build();
            case "lz4": return Compression.lz4().build();
            case "zstd": return Compression.zstd().build();
            default: return Compression.NONE;
        }
    }

    static byte[] bytes(String text) { return text.getBytes(StandardCharsets.UTF_8); }

    static void write(String name, MemoryRecords records) throws Exception {
        ByteBuffer buffer = records.buffer().duplicate();
        byte[] bytes = new byte[buffer.remaining()];
        buffer.get(bytes);
        Files.write(directory.resolve(name), bytes);
    }
}
