import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.lang.reflect.Field;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Properties;
import java.util.function.BiFunction;
import java.util.function.BiPredicate;
import org.apache.kafka.common.serialization.Deserializer;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serializer;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.TestInputTopic;
import org.apache.kafka.streams.TestOutputTopic;
import org.apache.kafka.streams.TopologyConfig;
import org.apache.kafka.streams.TopologyTestDriver;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.EmitStrategy;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.JoinWindows;
import org.apache.kafka.streams.kstream.Joined;
import org.apache.kafka.streams.kstream.KGroupedStream;
import org.apache.kafka.streams.kstream.KGroupedTable;
import org.apache.kafka.streams.kstream.KStream;
import org.apache.kafka.streams.kstream.KTable;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.kstream.Repartitioned;
import org.apache.kafka.streams.kstream.SessionWindowedKStream;
import org.apache.kafka.streams.kstream.SessionWindows;
import org.apache.kafka.streams.kstream.SlidingWindows;
import org.apache.kafka.streams.kstream.StreamJoined;
import org.apache.kafka.streams.kstream.Suppressed;
import org.apache.kafka.streams.kstream.TimeWindowedKStream;
import org.apache.kafka.streams.kstream.TimeWindows;
import org.apache.kafka.streams.kstream.Windowed;
import org.apache.kafka.streams.processor.internals.ProcessorTopology;
import org.apache.kafka.streams.state.BuiltInDslStoreSuppliers;

/**
 * Kafka Streams as the oracle of ours: reads cases from its standard input, one a line, in the form of
 * streams/tests/oracles/README.md, runs each in Kafka's own test driver without caches, and prints one
 * line for each: what has come out of the nodes to observe with each step, or why it could not run.
 *
 * <p>Keys and values are null, numbers, texts or windowed keys; their bytes are those of value.rs there,
 * so that what goes by the bytes of keys is the same.
 */
@SuppressWarnings({"rawtypes", "unchecked"})
public final class StreamsJudge {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final Serde<Object> DYN = new DynSerde();
    /**
     * Stores keep everything, so that what is seen are the rules of operators, not those of stores: those in
     * memory lose windows to be given out at the very time at which they close, RocksDB's some segments later.
     * How long a session can be gone on with is a rule of the store, so there it is ours.
     */
    private static final Duration RETENTION = Duration.ofDays(1);

    private final StreamsBuilder builder;
    private final Map<String, Object> nodes = new HashMap<>();
    private final Map<String, KStream> topics = new HashMap<>();
    private final Map<String, JsonNode> windows = new HashMap<>();

    private StreamsJudge(StreamsBuilder builder) {
        this.builder = builder;
    }

    /** Takes no arguments. */
    public static void main(String[] arguments) throws Exception {
        Path state = Files.createTempDirectory("streams-judge");
        var cases = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        int number = 0;
        for (String line = cases.readLine(); line != null; line = cases.readLine()) {
            Object answer;
            try {
                answer = run(JSON.readTree(line), state, number++);
            } catch (RuntimeException failure) {
                answer = Map.of("error", String.valueOf(failure), "cause", String.valueOf(failure.getCause()));
            }
            System.out.println(JSON.writeValueAsString(answer));
        }
        try (var paths = Files.walk(state)) {
            for (Path path : paths.sorted(Comparator.reverseOrder()).toList()) Files.deleteIfExists(path);
        }
    }

    private static Object run(JsonNode one, Path state, int number) throws ReflectiveOperationException {
        var settings = new Properties();
        settings.put(StreamsConfig.APPLICATION_ID_CONFIG, "judge-" + number);
        settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, "127.0.0.1:1");
        settings.put(StreamsConfig.STATE_DIR_CONFIG, state.toString());
        settings.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, "0");
        settings.put(StreamsConfig.DEFAULT_KEY_SERDE_CLASS_CONFIG, DynSerde.class);
        settings.put(StreamsConfig.DEFAULT_VALUE_SERDE_CLASS_CONFIG, DynSerde.class);
        settings.put(StreamsConfig.DSL_STORE_SUPPLIERS_CLASS_CONFIG,
            BuiltInDslStoreSuppliers.InMemoryDslStoreSuppliers.class);
        // Looked for with every record, not once a second of the wall clock.
        settings.put("__emit.interval.ms.kstreams.outer.join.spurious.results.fix__", 0L);
        settings.put("__emit.interval.ms.kstreams.windowed.aggregation__", 0L);
        var judge = new StreamsJudge(new StreamsBuilder(new TopologyConfig(new StreamsConfig(settings))));
        for (JsonNode node : one.get("topology")) judge.nodes.put(node.get("id").asText(), judge.build(node));
        List<String> observed = new ArrayList<>();
        for (JsonNode id : one.get("observe")) {
            observed.add(id.asText());
            judge.observe(id.asText());
        }
        try (var driver = new TopologyTestDriver(judge.builder.build(), settings)) {
            Map<String, TestOutputTopic<Object, Object>> outputs = new LinkedHashMap<>();
            for (String id : observed) {
                outputs.put(id, driver.createOutputTopic("observe-" + id, DYN.deserializer(), DYN.deserializer()));
            }
            Map<String, TestInputTopic<Object, Object>> inputs = new HashMap<>();
            List<Object> answer = new ArrayList<>();
            for (JsonNode step : one.get("steps")) {
                var input = inputs.computeIfAbsent(step.get("in").asText(),
                    topic -> driver.createInputTopic(topic, DYN.serializer(), DYN.serializer()));
                JsonNode record = step.get("r");
                lookEveryTime(driver);
                input.pipeInput(dyn(record.get(0)), dyn(record.get(1)), record.get(2).asLong());
                Map<String, Object> came = new LinkedHashMap<>();
                outputs.forEach((id, output) -> {
                    List<Object> rows = new ArrayList<>();
                    for (var row : output.readRecordsToList()) {
                        rows.add(Arrays.asList(row.key(), row.value(), row.timestamp()));
                    }
                    if (!rows.isEmpty()) came.put(id, rows);
                });
                answer.add(came);
            }
            return answer;
        }
    }

    /**
     * Left and outer joins look for records without a partner when stream time has passed one record, but that
     * is the last one that they have looked at, not the first that is still there: so others come out later than
     * their windows close. With the time set back they look with every record.
     */
    private static void lookEveryTime(TopologyTestDriver driver) throws ReflectiveOperationException {
        Object topology = field(field(driver, "task"), "topology");
        for (Object node : ((ProcessorTopology) topology).processors()) {
            Object processor = field(node, "processor");
            if (processor == null || !processor.getClass().getSimpleName().contains("StreamJoin")) continue;
            Object tracker = field(processor, "sharedTimeTracker");
            if (tracker != null) find(tracker.getClass(), "minTime").setLong(tracker, 0);
        }
    }

    private static Object field(Object of, String name) throws ReflectiveOperationException {
        Field field = find(of.getClass(), name);
        return field == null ? null : field.get(of);
    }

    /** A field of a class or of one that it extends, or null. */
    private static Field find(Class<?> in, String name) {
        for (Class<?> one = in; one != null; one = one.getSuperclass()) {
            for (Field field : one.getDeclaredFields()) {
                if (!field.getName().equals(name)) continue;
                field.setAccessible(true);
                return field;
            }
        }
        return null;
    }

    private void observe(String id) {
        Object node = nodes.get(id);
        KStream stream = node instanceof KTable table ? table.toStream() : (KStream) node;
        stream.map((key, value) -> KeyValue.pair(plain(key), value)).to("observe-" + id, Produced.with(DYN, DYN));
    }

    private static Object plain(Object key) {
        return key instanceof Windowed<?> one ? windowed(one.key(), one.window().start(), one.window().end()) : key;
    }

    private static Map<String, Object> windowed(Object key, long start, long end) {
        Map<String, Object> fields = new LinkedHashMap<>();
        fields.put("k", key);
        fields.put("w", List.of(start, end));
        return fields;
    }

    // Nodes

    private Object build(JsonNode node) {
        Object from = node.has("from") && node.get("from").isTextual() ? nodes.get(text(node, "from")) : null;
        return switch (text(node, "op")) {
            case "stream" -> topics.computeIfAbsent(text(node, "topic"),
                topic -> builder.stream(topic, Consumed.with(DYN, DYN)));
            case "table" -> kept(node) == null
                ? builder.table(text(node, "topic"), Consumed.with(DYN, DYN))
                : builder.table(text(node, "topic"), Consumed.with(DYN, DYN), kept(node));
            case "global_table" -> builder.globalTable(text(node, "topic"), Consumed.with(DYN, DYN));
            case "merge" -> merge(node.get("from"));
            case "filter" -> filter(node, from);
            case "map_values" -> mapValues(node, from);
            case "select_key" -> ((KStream) from).selectKey(
                (key, value) -> pair(text(node, "fn")).apply(key, value).key);
            case "map" -> ((KStream) from).map((key, value) -> pair(text(node, "fn")).apply(key, value));
            case "repartition" -> ((KStream) from).repartition(Repartitioned.with(DYN, DYN));
            case "to_table" -> ((KStream) from).toTable(Materialized.with(DYN, DYN));
            case "to_stream" -> ((KTable) from).toStream();
            case "group_by_key" -> ((KStream) from).groupByKey(Grouped.with(DYN, DYN));
            case "group_by" -> from instanceof KTable table
                ? table.groupBy((key, value) -> pair(text(node, "fn")).apply(key, value), Grouped.with(DYN, DYN))
                : ((KStream) from).groupBy(
                    (key, value) -> pair(text(node, "fn")).apply(key, value).key, Grouped.with(DYN, DYN));
            case "windowed_by" -> {
                windows.put(text(node, "id"), node.get("windows"));
                yield windowedBy((KGroupedStream) from, node.get("windows"));
            }
            case "count", "reduce", "aggregate" -> aggregate(node, from);
            case "suppress" -> suppress(node, (KTable) from);
            case "join", "left_join", "outer_join" -> join(node);
            default -> throw new IllegalArgumentException(node.toString());
        };
    }

    private static String text(JsonNode node, String field) {
        return node.get(field).asText();
    }

    private static Duration millis(JsonNode node, String field) {
        return Duration.ofMillis(node.path(field).asLong());
    }

    /** The store that a case asks for, or null. */
    private static Materialized kept(JsonNode node) {
        if (!node.path("materialized").asBoolean()) return null;
        return Materialized.as(text(node, "id")).withKeySerde((Serde) DYN).withValueSerde((Serde) DYN);
    }

    private KStream merge(JsonNode from) {
        KStream merged = (KStream) nodes.get(from.get(0).asText());
        for (int at = 1; at < from.size(); at++) merged = merged.merge((KStream) nodes.get(from.get(at).asText()));
        return merged;
    }

    private Object filter(JsonNode node, Object from) {
        BiPredicate<Object, Object> condition = condition(text(node, "fn"));
        boolean not = node.path("not").asBoolean();
        if (from instanceof KStream stream) {
            return stream.filter((key, value) -> condition.test(key, value) != not);
        }
        KTable table = (KTable) from;
        Materialized kept = kept(node);
        return kept == null
            ? table.filter((key, value) -> condition.test(key, value) != not)
            : table.filter((key, value) -> condition.test(key, value) != not, kept);
    }

    private Object mapValues(JsonNode node, Object from) {
        BiFunction<Object, Object, Object> map = ofPair(text(node, "fn"));
        if (from instanceof KStream stream) return stream.mapValues((key, value) -> map.apply(key, value));
        KTable table = (KTable) from;
        Materialized kept = kept(node);
        return kept == null
            ? table.mapValues((key, value) -> map.apply(key, value))
            : table.mapValues((key, value) -> map.apply(key, value), kept);
    }

    private static Object windowedBy(KGroupedStream grouped, JsonNode windows) {
        Duration grace = millis(windows, "grace");
        return switch (text(windows, "kind")) {
            case "tumbling" -> grouped.windowedBy(TimeWindows.ofSizeAndGrace(millis(windows, "size"), grace));
            case "hopping" -> grouped.windowedBy(TimeWindows.ofSizeAndGrace(millis(windows, "size"), grace)
                .advanceBy(millis(windows, "advance")));
            case "sliding" -> grouped.windowedBy(
                SlidingWindows.ofTimeDifferenceAndGrace(millis(windows, "difference"), grace));
            case "session" -> grouped.windowedBy(SessionWindows.ofInactivityGapAndGrace(millis(windows, "gap"), grace));
            default -> throw new IllegalArgumentException(windows.toString());
        };
    }

    private Object aggregate(JsonNode node, Object from) {
        String op = text(node, "op");
        boolean last = node.path("emit").asText().equals("final");
        var emit = last ? EmitStrategy.onWindowClose() : EmitStrategy.onWindowUpdate();
        Materialized plain = Materialized.with(DYN, DYN);
        Materialized kept = Materialized.with(DYN, DYN).withRetention(RETENTION);
        BiFunction<Object, Object, Object> add = op.equals("count") ? null : fold(text(node, "add"));
        Object init = op.equals("aggregate") ? init(text(node, "init")) : null;
        if (from instanceof KGroupedStream grouped) {
            return switch (op) {
                case "count" -> grouped.count(plain);
                case "reduce" -> grouped.reduce((old, value) -> add.apply(old, value), plain);
                default -> grouped.aggregate(() -> init, (key, value, old) -> add.apply(old, value), plain);
            };
        }
        if (from instanceof KGroupedTable grouped) {
            BiFunction<Object, Object, Object> sub = op.equals("count") ? null : fold(text(node, "sub"));
            return switch (op) {
                case "count" -> grouped.count(plain);
                case "reduce" -> grouped.reduce(
                    (old, value) -> add.apply(old, value), (old, value) -> sub.apply(old, value), plain);
                default -> grouped.aggregate(() -> init, (key, value, old) -> add.apply(old, value),
                    (key, value, old) -> sub.apply(old, value), plain);
            };
        }
        if (from instanceof SessionWindowedKStream windowed) {
            JsonNode own = windows.get(text(node, "from"));
            Duration open = millis(own, "gap").plus(millis(own, "grace"));
            if (!last) kept = kept.withRetention(open.multipliedBy(2).plusMillis(1));
            SessionWindowedKStream emitted = windowed.emitStrategy(emit);
            return switch (op) {
                case "count" -> emitted.count(kept);
                case "reduce" -> emitted.reduce((old, value) -> add.apply(old, value), kept);
                default -> {
                    BiFunction<Object, Object, Object> merge = fold(text(node, "merge"));
                    yield emitted.aggregate(() -> init, (key, value, old) -> add.apply(old, value),
                        (key, one, other) -> merge.apply(one, other), kept);
                }
            };
        }
        TimeWindowedKStream windowed = ((TimeWindowedKStream) from).emitStrategy(emit);
        return switch (op) {
            case "count" -> windowed.count(kept);
            case "reduce" -> windowed.reduce((old, value) -> add.apply(old, value), kept);
            default -> windowed.aggregate(() -> init, (key, value, old) -> add.apply(old, value), kept);
        };
    }

    private static KTable suppress(JsonNode node, KTable table) {
        if (text(node, "until").equals("window_close")) {
            return table.suppress((Suppressed) Suppressed.untilWindowCloses(Suppressed.BufferConfig.unbounded()));
        }
        var bounds = node.has("max_records")
            ? Suppressed.BufferConfig.maxRecords(node.get("max_records").asLong())
            : Suppressed.BufferConfig.maxRecords(Long.MAX_VALUE);
        return table.suppress(Suppressed.untilTimeLimit(millis(node, "limit"), bounds.emitEarlyWhenFull()));
    }

    private Object join(JsonNode node) {
        Object left = nodes.get(text(node, "left"));
        Object right = nodes.get(text(node, "right"));
        BiFunction<Object, Object, Object> joiner = joiner(text(node, "joiner"));
        String op = text(node, "op");
        if (left instanceof KTable one) {
            KTable other = (KTable) right;
            Materialized kept = kept(node);
            return switch (op) {
                case "join" -> kept == null
                    ? one.join(other, (a, b) -> joiner.apply(a, b))
                    : one.join(other, (a, b) -> joiner.apply(a, b), kept);
                case "left_join" -> kept == null
                    ? one.leftJoin(other, (a, b) -> joiner.apply(a, b))
                    : one.leftJoin(other, (a, b) -> joiner.apply(a, b), kept);
                default -> kept == null
                    ? one.outerJoin(other, (a, b) -> joiner.apply(a, b))
                    : one.outerJoin(other, (a, b) -> joiner.apply(a, b), kept);
            };
        }
        KStream stream = (KStream) left;
        if (right instanceof KTable table) {
            Joined with = Joined.with(DYN, DYN, DYN);
            return op.equals("join")
                ? stream.join(table, (a, b) -> joiner.apply(a, b), with)
                : stream.leftJoin(table, (a, b) -> joiner.apply(a, b), with);
        }
        KStream other = (KStream) right;
        JoinWindows windows = joinWindows(node.get("windows"));
        StreamJoined with = StreamJoined.with(DYN, DYN, DYN)
            .withDslStoreSuppliers(new BuiltInDslStoreSuppliers.InMemoryDslStoreSuppliers());
        return switch (op) {
            case "join" -> stream.join(other, (a, b) -> joiner.apply(a, b), windows, with);
            case "left_join" -> stream.leftJoin(other, (a, b) -> joiner.apply(a, b), windows, with);
            default -> stream.outerJoin(other, (a, b) -> joiner.apply(a, b), windows, with);
        };
    }

    private static JoinWindows joinWindows(JsonNode windows) {
        Duration before = millis(windows, "before");
        Duration after = millis(windows, "after");
        var point = JoinWindows.ofTimeDifferenceAndGrace(Duration.ZERO, millis(windows, "grace"));
        // The one that is not negative first: no window may end before it begins, not even on the way.
        return before.isNegative() ? point.after(after).before(before) : point.before(before).after(after);
    }

    // The functions that cases name, as in functions.rs

    private static String print(Object value) {
        return String.valueOf(value);
    }

    /** A number, or null. */
    private static Long number(Object value) {
        if (value instanceof Long number) return number;
        try {
            return value == null ? null : Long.valueOf(value.toString());
        } catch (NumberFormatException failure) {
            return null;
        }
    }

    private static long orZero(Object value) {
        return Objects.requireNonNullElse(number(value), 0L);
    }

    private static BiPredicate<Object, Object> condition(String whole) {
        String[] parts = whole.split(":", 2);
        long bound = parts.length > 1 ? orZero(parts[1]) : 0;
        return switch (parts[0]) {
            case "all" -> (key, value) -> true;
            case "value_not_null" -> (key, value) -> value != null;
            case "value_even" -> (key, value) -> number(value) != null && number(value) % 2 == 0;
            case "value_gt" -> (key, value) -> number(value) != null && number(value) > bound;
            case "value_lt" -> (key, value) -> number(value) != null && number(value) < bound;
            case "value_len_gt" -> (key, value) -> value != null && print(value).length() > bound;
            default -> throw new IllegalArgumentException(whole);
        };
    }

    private static Object first(Object value) {
        return print(value).isEmpty() ? null : print(value).substring(0, 1);
    }

    private static BiFunction<Object, Object, KeyValue<Object, Object>> pair(String whole) {
        String[] parts = whole.split(":", 2);
        return switch (parts[0]) {
            case "identity" -> KeyValue::pair;
            case "value_to_key" -> (key, value) -> KeyValue.pair(value, value);
            case "swap" -> (key, value) -> KeyValue.pair(value, key);
            case "null_key" -> (key, value) -> KeyValue.pair(null, value);
            case "key_value_to" -> (key, value) -> KeyValue.pair(parts[1], value);
            case "value_first_char_to_key" -> (key, value) -> KeyValue.pair(first(value), value);
            default -> throw new IllegalArgumentException(whole);
        };
    }

    private static BiFunction<Object, Object, Object> ofPair(String name) {
        return switch (name) {
            case "identity" -> (key, value) -> value;
            case "length" -> (key, value) -> value == null ? null : (Object) (long) print(value).length();
            case "to_string" -> (key, value) -> value == null ? null : print(value);
            case "parse_int_neg" -> (key, value) -> number(value) == null ? null : (Object) (-number(value));
            case "char_at_0" -> (key, value) -> value == null ? null : first(value);
            case "to_null" -> (key, value) -> null;
            default -> throw new IllegalArgumentException(name);
        };
    }

    private static Object init(String name) {
        return switch (name) {
            case "zero" -> "0";
            case "empty" -> "";
            case "int_zero" -> 0L;
            default -> throw new IllegalArgumentException(name);
        };
    }

    private static BiFunction<Object, Object, Object> fold(String name) {
        return switch (name) {
            case "append" -> (old, value) -> print(old) + "+" + print(value);
            case "remove" -> (old, value) -> print(old) + "-" + print(value);
            case "concat" -> (old, value) -> print(old) + print(value);
            case "int_sum" -> (old, value) -> orZero(old) + orZero(value);
            case "int_sub" -> (old, value) -> orZero(old) - orZero(value);
            case "max" -> (old, value) -> Math.max(orZero(old), orZero(value));
            case "keep_first" -> (old, value) -> old;
            case "keep_last" -> (old, value) -> value;
            default -> throw new IllegalArgumentException(name);
        };
    }

    private static BiFunction<Object, Object, Object> joiner(String name) {
        return switch (name) {
            case "plus" -> (left, right) -> print(left) + "+" + print(right);
            case "dash" -> (left, right) -> print(left) + "-" + print(right);
            case "add_ints" -> (left, right) -> orZero(left) + orZero(right);
            default -> throw new IllegalArgumentException(name);
        };
    }

    // Keys and values

    private static Object dyn(JsonNode value) {
        if (value.isNull()) return null;
        if (value.isNumber()) return value.asLong();
        if (value.isTextual()) return value.asText();
        throw new IllegalArgumentException(value.toString());
    }

    /** A byte that says what follows; numbers sort as numbers. */
    public static final class DynSerde implements Serde<Object> {
        @Override
        public Serializer<Object> serializer() {
            return (topic, value) -> {
                if (value == null) return null;
                if (value instanceof Long number) {
                    return ByteBuffer.allocate(9).put((byte) 'i').putLong(number ^ Long.MIN_VALUE).array();
                }
                if (value instanceof String text) return tagged('s', text.getBytes(StandardCharsets.UTF_8));
                try {
                    return tagged('{', JSON.writeValueAsBytes(value));
                } catch (IOException failure) {
                    throw new IllegalStateException(failure);
                }
            };
        }

        @Override
        public Deserializer<Object> deserializer() {
            return (topic, bytes) -> {
                if (bytes == null) return null;
                if (bytes[0] == 'i') return ByteBuffer.wrap(bytes).getLong(1) ^ Long.MIN_VALUE;
                if (bytes[0] == 's') return new String(bytes, 1, bytes.length - 1, StandardCharsets.UTF_8);
                try {
                    return JSON.readTree(bytes, 1, bytes.length - 1);
                } catch (IOException failure) {
                    throw new IllegalStateException(failure);
                }
            };
        }

        private static byte[] tagged(char tag, byte[] rest) {
            return ByteBuffer.allocate(rest.length + 1).put((byte) tag).put(rest).array();
        }
    }
}
