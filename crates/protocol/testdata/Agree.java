// Shows the vectors of vectors.txt to Apache Kafka's own message classes: each is read, turned into
// JSON and back, and written again, and has to come out as it went in. Vectors of versions that the
// release does not have are counted and skipped; every vector has to be known to one of the releases.
//
// Run once per release, with the jars of kafka-clients, kafka-group-coordinator,
// kafka-transaction-coordinator, slf4j-api and jackson-databind (with its two companions) in libs:
//     java -cp 'libs/*' Agree.java vectors.txt
import java.lang.reflect.Method;
import java.nio.ByteBuffer;
import java.nio.file.*;
import java.util.*;
import org.apache.kafka.common.protocol.*;

public class Agree {
    static final String[] PLACES = {
        "org.apache.kafka.common.message.%sData",
        "org.apache.kafka.common.message.%s",
        "org.apache.kafka.coordinator.group.generated.%s",
        "org.apache.kafka.coordinator.transaction.generated.%s",
    };

    // Kafka's JSON says only how long records are.
    static final Set<String> RECORDS =
        Set.of("ProduceRequest", "FetchResponse", "ShareFetchResponse");

    static byte[] write(ApiMessage message, short version) {
        ObjectSerializationCache cache = new ObjectSerializationCache();
        ByteBuffer buffer = ByteBuffer.allocate(message.size(cache, version));
        message.write(new ByteBufferAccessor(buffer), cache, version);
        return buffer.array();
    }

    static Class<?> find(String name) {
        for (String place : PLACES) {
            try {
                return Class.forName(String.format(place, name));
            } catch (ClassNotFoundException e) {
                // The next place may have it.
            }
        }
        return null;
    }

    public static void main(String[] args) throws Exception {
        int agreed = 0, failed = 0;
        StringBuilder skipped = new StringBuilder();
        for (String line : Files.readAllLines(Path.of(args[0]))) {
            String[] words = line.split(" ");
            short version = Short.parseShort(words[1]);
            byte[] bytes = words.length < 3 ? new byte[0] : HexFormat.of().parseHex(words[2]);
            Class<?> type = find(words[0]);
            ApiMessage message = type == null ? null : (ApiMessage) type.getConstructor().newInstance();
            if (message == null || version < message.lowestSupportedVersion() || version > message.highestSupportedVersion()) {
                skipped.append(words[0]).append(' ').append(version).append('\n');
                continue;
            }
            try {
                ByteBuffer buffer = ByteBuffer.wrap(bytes);
                message.read(new ByteBufferAccessor(buffer), version);
                if (buffer.hasRemaining()) throw new IllegalStateException(buffer.remaining() + " bytes left");
                byte[] found = write(RECORDS.contains(words[0]) ? message : throughJson(type, message, version), version);
                if (!Arrays.equals(found, bytes)) throw new IllegalStateException(HexFormat.of().formatHex(found));
                agreed++;
            } catch (Throwable e) {
                failed++;
                System.out.println(line + "\n  " + e + " " + e.getCause());
            }
        }
        Files.writeString(Path.of("skipped.txt"), skipped.toString());
        System.out.println(agreed + " agreed, " + failed + " failed, skipped ones are in skipped.txt");
        System.exit(failed == 0 ? 0 : 1);
    }

    static ApiMessage throughJson(Class<?> type, ApiMessage message, short version) throws Exception {
        Class<?> converter = Class.forName(type.getName() + "JsonConverter");
        Method write = converter.getMethod("write", type, short.class);
        Object json = write.invoke(null, message, version);
        for (Method read : converter.getMethods()) {
            if (read.getName().equals("read")) return (ApiMessage) read.invoke(null, json, version);
        }
        throw new IllegalStateException("no reader of JSON");
    }
}
