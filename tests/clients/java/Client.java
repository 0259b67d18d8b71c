// The Java client behind the language of ../README.md.

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.atomic.AtomicReference;
import java.util.stream.Collectors;
import java.util.zip.CRC32;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

public final class Client {
    private static final Map<String, String> STRATEGIES = Map.of(
        "range", "org.apache.kafka.clients.consumer.RangeAssignor",
        "roundrobin", "org.apache.kafka.clients.consumer.RoundRobinAssignor",
        "cooperative", "org.apache.kafka.clients.consumer.CooperativeStickyAssignor");

    private static final Map<String, String> options = new HashMap<>();
    private static final Map<String, String> configs = new HashMap<>();

    private static synchronized void say(Object... fields) {
        System.out.println(Arrays.stream(fields).map(String::valueOf).collect(Collectors.joining("\t")));
    }

    private static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    private static BufferedReader input() {
        return new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    }

    private static void produce() throws Exception {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", options.get("bootstrap"));
        settings.put("acks", "all");
        settings.put("compression.type", options.getOrDefault("codec", "none"));
        settings.put("enable.idempotence", "1".equals(options.get("idempotent")));
        settings.put("linger.ms", options.getOrDefault("linger", "5"));
        settings.put("max.request.size", 8 << 20);
        settings.put("request.timeout.ms", 15000);
        settings.put("delivery.timeout.ms", 90000);
        AtomicReference<Exception> failed = new AtomicReference<>();
        try (var producer = new KafkaProducer<>(settings, new ByteArraySerializer(), new ByteArraySerializer())) {
            BufferedReader input = input();
            String text;
            for (int line = 0; (text = input.readLine()) != null; line++) {
                int tab = text.indexOf('\t');
                byte[] key = tab == 0 ? null : bytes(text.substring(0, tab));
                Long time = options.containsKey("timestamp") ? Long.parseLong(options.get("timestamp")) + 1000L * line : null;
                var record = new ProducerRecord<>(options.get("topic"), null, time, key, bytes(text.substring(tab + 1)));
                if (options.containsKey("headers")) {
                    record.headers().add("line", bytes(String.valueOf(line))).add("empty", new byte[0]);
                }
                int number = line;
                producer.send(record, (metadata, error) -> {
                    if (error != null) failed.set(error);
                    else say("acked", metadata.partition(), metadata.offset(), number);
                });
            }
        }
        if (failed.get() != null) throw failed.get();
    }

    private static String numbers(Collection<TopicPartition> partitions) {
        return partitions.stream().map(TopicPartition::partition).sorted().map(String::valueOf).collect(Collectors.joining(","));
    }

    private static long count() {
        return Long.parseLong(options.getOrDefault("count", String.valueOf(Long.MAX_VALUE)));
    }

    private static Properties consumerSettings() {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", options.get("bootstrap"));
        settings.put("auto.offset.reset", options.getOrDefault("reset", "earliest"));
        settings.put("enable.auto.commit", options.containsKey("group"));
        settings.put("max.partition.fetch.bytes", 8 << 20);
        settings.put("fetch.max.wait.ms", 100);
        // What is polled beyond the count would be committed at the end without having been shown.
        settings.put("max.poll.records", (int) Math.min(count(), 500));
        if (options.containsKey("group")) {
            settings.put("group.id", options.get("group"));
            settings.put("auto.commit.interval.ms", 1000);
            settings.put("session.timeout.ms", 6000);
            settings.put("heartbeat.interval.ms", 500);
            settings.put("partition.assignment.strategy", STRATEGIES.get(options.getOrDefault("strategy", "range")));
        }
        if (options.containsKey("instance")) settings.put("group.instance.id", options.get("instance"));
        return settings;
    }

    private static void place(KafkaConsumer<byte[], byte[]> consumer, TopicPartition partition) {
        String[] from = options.getOrDefault("from", "earliest").split(":");
        switch (from[0]) {
            case "latest" -> consumer.seekToEnd(List.of(partition));
            case "offset" -> consumer.seek(partition, Long.parseLong(from[1]));
            case "time" -> {
                var found = consumer.offsetsForTimes(Map.of(partition, Long.parseLong(from[1]))).get(partition);
                if (found == null) consumer.seekToEnd(List.of(partition));
                else consumer.seek(partition, found.offset());
            }
            default -> consumer.seekToBeginning(List.of(partition));
        }
    }

    private static final class Listener implements ConsumerRebalanceListener {
        @Override
        public void onPartitionsAssigned(Collection<TopicPartition> partitions) {
            say("assigned", numbers(partitions));
        }

        @Override
        public void onPartitionsRevoked(Collection<TopicPartition> partitions) {
            say("revoked", numbers(partitions));
        }
    }

    private static void consume() throws Exception {
        Thread ended = new Thread(() -> input().lines().forEach(line -> { }));
        ended.setDaemon(true);
        ended.start();
        try (var consumer = new KafkaConsumer<>(consumerSettings(), new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            if (options.containsKey("partition")) {
                var partition = new TopicPartition(options.get("topic"), Integer.parseInt(options.get("partition")));
                consumer.assign(List.of(partition));
                place(consumer, partition);
            } else {
                consumer.subscribe(List.of(options.get("topic")), new Listener());
            }
            long left = count();
            while (left > 0 && ended.isAlive()) {
                for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofMillis(200))) {
                    if (left-- > 0) show(record);
                }
            }
        }
    }

    private static void show(ConsumerRecord<byte[], byte[]> record) {
        List<String> headers = new ArrayList<>();
        record.headers().forEach(header -> headers.add(header.key() + "=" + new String(header.value(), StandardCharsets.UTF_8)));
        String key = record.key() == null ? "" : new String(record.key(), StandardCharsets.UTF_8);
        byte[] value = record.value() == null ? new byte[0] : record.value();
        CRC32 crc = new CRC32();
        crc.update(value);
        say("record", record.partition(), record.offset(), record.timestamp(), key, value.length, crc.getValue(), String.join(";", headers));
    }

    private static void admin() throws Exception {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", options.get("bootstrap"));
        String topic = options.get("topic");
        var resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
        try (Admin admin = Admin.create(settings)) {
            switch (options.get("action")) {
                case "create" -> {
                    var wanted = new NewTopic(topic, Integer.parseInt(options.get("partitions")), (short) 1).configs(configs);
                    admin.createTopics(List.of(wanted)).all().get();
                }
                case "delete" -> admin.deleteTopics(List.of(topic)).all().get();
                case "alter" -> {
                    Collection<AlterConfigOp> changes = configs.entrySet().stream()
                        .map(entry -> new AlterConfigOp(new ConfigEntry(entry.getKey(), entry.getValue()), AlterConfigOp.OpType.SET))
                        .toList();
                    admin.incrementalAlterConfigs(Map.of(resource, changes)).all().get();
                }
                default -> {
                    say("partitions", admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic).partitions().size());
                    for (ConfigEntry entry : admin.describeConfigs(List.of(resource)).all().get().get(resource).entries()) {
                        say("config", entry.name(), entry.value());
                    }
                }
            }
        }
    }

    public static void main(String[] words) throws Exception {
        for (String word : Arrays.copyOfRange(words, 1, words.length)) {
            String[] parts = word.split("=", 2);
            if (parts[0].equals("config")) configs.put(parts[1].split(":", 2)[0], parts[1].split(":", 2)[1]);
            else options.put(parts[0], parts[1]);
        }
        switch (words[0]) {
            case "produce" -> produce();
            case "consume" -> consume();
            case "admin" -> admin();
            default -> throw new IllegalArgumentException("no verb " + words[0]);
        }
        System.exit(0);
    }
}
