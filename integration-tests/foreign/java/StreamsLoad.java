import com.fasterxml.jackson.annotation.JsonProperty;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.Properties;
import org.apache.kafka.common.Metric;
import org.apache.kafka.common.serialization.Deserializer;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.serialization.Serializer;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.TopologyConfig;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.KGroupedStream;
import org.apache.kafka.streams.kstream.KTable;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.kstream.SessionWindowedDeserializer;
import org.apache.kafka.streams.kstream.SessionWindowedSerializer;
import org.apache.kafka.streams.kstream.SessionWindows;
import org.apache.kafka.streams.kstream.TimeWindowedDeserializer;
import org.apache.kafka.streams.kstream.TimeWindowedSerializer;
import org.apache.kafka.streams.kstream.TimeWindows;
import org.apache.kafka.streams.kstream.Windowed;
import org.apache.kafka.streams.state.BuiltInDslStoreSuppliers;
import org.apache.kafka.streams.state.DslStoreSuppliers;

/**
 * Kafka Streams under load: the topologies of streams_load.rs over the same topics, measured in the
 * same way. Prints one line for each pass: records, seconds, CPU seconds of the process from the start
 * of the application to the last record that is processed. Every pass is an application of its own;
 * those after the first run on code that is compiled already.
 *
 * <p>Arguments: query, bootstrap address, topic, records, {@code rocksDB} or {@code in_memory}, passes.
 * Everything else has its default: one thread, at least once, changelogs, 10 MB of cache, a commit
 * every 30 seconds.
 */
public final class StreamsLoad {
    /** As long as the watermark waits in streams_load.rs. */
    private static final Duration GRACE = Duration.ofSeconds(1);
    private static final Duration DEADLINE = Duration.ofMinutes(15);

    private StreamsLoad() {}

    public static void main(String[] arguments) throws Exception {
        String query = arguments[0];
        String bootstrap = arguments[1];
        String topic = arguments[2];
        long records = Long.parseLong(arguments[3]);
        int passes = Integer.parseInt(arguments[5]);
        for (int pass = 0; pass < passes; pass++) {
            Path state = Files.createTempDirectory("streams-load");
            var settings = new Properties();
            settings.put(StreamsConfig.APPLICATION_ID_CONFIG, "bench-java-" + query + "-" + System.nanoTime());
            settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, bootstrap);
            settings.put(StreamsConfig.STATE_DIR_CONFIG, state.toString());
            settings.put("auto.offset.reset", "earliest");
            settings.put(StreamsConfig.DSL_STORE_SUPPLIERS_CLASS_CONFIG, stores(arguments[4]));
            try {
                measure(new KafkaStreams(topology(query, topic, settings), settings), records);
            } finally {
                delete(state);
            }
        }
    }

    private static Class<? extends DslStoreSuppliers> stores(String name) {
        return switch (name) {
            case "rocksDB" -> BuiltInDslStoreSuppliers.RocksDBDslStoreSuppliers.class;
            case "in_memory" -> BuiltInDslStoreSuppliers.InMemoryDslStoreSuppliers.class;
            default -> throw new IllegalArgumentException(name);
        };
    }

    private static Topology topology(String query, String topic, Properties settings) {
        // Which stores the DSL makes is asked for when it does.
        var builder = new StreamsBuilder(new TopologyConfig(new StreamsConfig(settings)));
        switch (query) {
            case "count" -> counts(builder, topic, tumbling(10));
            // One window that takes everything.
            case "count-long" -> counts(builder, topic, tumbling(100_000));
            case "hop" -> counts(builder, topic, tumbling(10).advanceBy(Duration.ofSeconds(1)));
            case "sessions" -> {
                var windows = SessionWindows.ofInactivityGapAndGrace(Duration.ofMillis(500), GRACE);
                var keys = Serdes.serdeFrom(
                    new SessionWindowedSerializer<>(Serdes.Bytes().serializer()),
                    new SessionWindowedDeserializer<>(Serdes.Bytes().deserializer()));
                write(plain(builder, topic).windowedBy(windows).count(), keys, Serdes.Long());
            }
            case "json" -> {
                var events = json(Event.class);
                var consumed = Consumed.with(Serdes.Bytes(), events)
                    .withTimestampExtractor((record, time) -> ((Event) record.value()).timestamp);
                KTable<Windowed<Bytes>, Totals> totals = builder.stream(topic, consumed)
                    .groupByKey(Grouped.with(Serdes.Bytes(), events))
                    .windowedBy(tumbling(10))
                    .aggregate(Totals::new, (key, event, sum) -> sum.add(event), Materialized.with(
                        Serdes.Bytes(), json(Totals.class)));
                write(totals, timeKeys(), json(Totals.class));
            }
            default -> throw new IllegalArgumentException(query);
        }
        return builder.build();
    }

    private static TimeWindows tumbling(long seconds) {
        return TimeWindows.ofSizeAndGrace(Duration.ofSeconds(seconds), GRACE);
    }

    private static KGroupedStream<Bytes, byte[]> plain(StreamsBuilder builder, String topic) {
        var consumed = Consumed.with(Serdes.Bytes(), Serdes.ByteArray());
        return builder.stream(topic, consumed).groupByKey(Grouped.with(Serdes.Bytes(), Serdes.ByteArray()));
    }

    private static void counts(StreamsBuilder builder, String topic, TimeWindows windows) {
        write(plain(builder, topic).windowedBy(windows).count(), timeKeys(), Serdes.Long());
    }

    private static Serde<Windowed<Bytes>> timeKeys() {
        return Serdes.serdeFrom(
            new TimeWindowedSerializer<>(Serdes.Bytes().serializer()),
            new TimeWindowedDeserializer<>(Serdes.Bytes().deserializer(), Long.MAX_VALUE));
    }

    private static <K, V> void write(KTable<K, V> table, Serde<K> keys, Serde<V> values) {
        table.toStream().to("out", Produced.with(keys, values));
    }

    private static void measure(KafkaStreams streams, long records) throws Exception {
        var system = (com.sun.management.OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();
        long cpu = system.getProcessCpuTime();
        long wall = System.nanoTime();
        streams.start();
        Metric processed = null;
        while (processed == null || (double) processed.metricValue() < records) {
            Thread.sleep(10);
            if (processed == null) processed = find(streams);
            if (streams.state().hasStartedOrFinishedShuttingDown()) throw new IllegalStateException("it has failed");
            if (System.nanoTime() - wall > DEADLINE.toNanos()) throw new IllegalStateException("no end");
        }
        double seconds = (System.nanoTime() - wall) / 1e9;
        double busy = (system.getProcessCpuTime() - cpu) / 1e9;
        System.out.println(String.format(Locale.ROOT, "%d %.3f %.3f", records, seconds, busy));
        streams.close(Duration.ofMinutes(5));
    }

    /** How many records the only thread has processed. */
    private static Metric find(KafkaStreams streams) {
        for (var entry : streams.metrics().entrySet()) {
            var name = entry.getKey();
            if (name.group().equals("stream-thread-metrics") && name.name().equals("process-total")) {
                return entry.getValue();
            }
        }
        return null;
    }

    private static void delete(Path directory) throws IOException {
        try (var paths = Files.walk(directory)) {
            List<Path> deepestFirst = paths.sorted(Comparator.reverseOrder()).toList();
            for (Path path : deepestFirst) Files.deleteIfExists(path);
        }
    }

    /** An event of the seed. */
    public static final class Event {
        @JsonProperty("user_id") public String userId;
        @JsonProperty("event_type") public String eventType;
        public double value;
        public long timestamp;
    }

    public static final class Totals {
        @JsonProperty("event_count") public long eventCount;
        @JsonProperty("total_value") public double totalValue;

        Totals add(Event event) {
            eventCount++;
            totalValue += event.value;
            return this;
        }
    }

    private static <T> Serde<T> json(Class<T> type) {
        var mapper = new ObjectMapper();
        var reader = mapper.readerFor(type);
        var writer = mapper.writerFor(type);
        Serializer<T> serializer = (topic, value) -> {
            try {
                return value == null ? null : writer.writeValueAsBytes(value);
            } catch (IOException failure) {
                throw new UncheckedIOException(failure);
            }
        };
        Deserializer<T> deserializer = (topic, bytes) -> {
            try {
                return bytes == null ? null : reader.readValue(bytes);
            } catch (IOException failure) {
                throw new UncheckedIOException(failure);
            }
        };
        return Serdes.serdeFrom(serializer, deserializer);
    }
}
