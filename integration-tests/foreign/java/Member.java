import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicBoolean;
import org.apache.kafka.clients.consumer.CommitFailedException;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.RebalanceInProgressException;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/**
 * One member of a consumer group as a process of its own, so that a test can kill it.
 *
 * <p>Arguments: bootstrap address, group, topic, assignor, session timeout in milliseconds and, for a
 * static member, its instance. Prints what members.py reads: one JSON object a line. SIGTERM makes it
 * leave the group.
 */
public final class Member {
    private static final Map<String, String> ASSIGNORS = Map.of(
        "range", "RangeAssignor",
        "roundrobin", "RoundRobinAssignor",
        "sticky", "StickyAssignor",
        "cooperative-sticky", "CooperativeStickyAssignor");

    private Member() {}

    /** Runs until it is told to stop. */
    public static void main(String[] arguments) throws Exception {
        var running = new AtomicBoolean(true);
        var ended = new CountDownLatch(1);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            running.set(false);
            try {
                // The process ends with its shutdown hooks, so this one waits for the goodbye.
                ended.await();
            } catch (InterruptedException interrupted) {
                Thread.currentThread().interrupt();
            }
        }));
        try {
            consume(arguments, running);
        } finally {
            ended.countDown();
        }
    }

    private static void consume(String[] arguments, AtomicBoolean running) {
        var deserializer = new ByteArrayDeserializer();
        try (var consumer = new KafkaConsumer<>(settings(arguments), deserializer, deserializer)) {
            consumer.subscribe(List.of(arguments[2]));
            List<Integer> known = null;
            while (running.get()) {
                var records = consumer.poll(Duration.ofMillis(100));
                var now = consumer.assignment().stream().map(TopicPartition::partition).sorted().toList();
                if (!now.equals(known)) say("assignment", now.toString());
                known = now;
                records.forEach(one -> say("value", '"' + new String(one.value(), StandardCharsets.UTF_8) + '"'));
                if (records.isEmpty()) continue;
                try {
                    consumer.commitSync();
                } catch (CommitFailedException | RebalanceInProgressException refused) {
                    // A rebalance took the partitions away: the records come again.
                    say("refused", '"' + refused.getClass().getSimpleName() + '"');
                }
            }
        }
        say("closed", "true");
    }

    private static Properties settings(String[] arguments) {
        var settings = new Properties();
        settings.put("bootstrap.servers", arguments[0]);
        settings.put("group.id", arguments[1]);
        settings.put(
            "partition.assignment.strategy",
            "org.apache.kafka.clients.consumer." + ASSIGNORS.get(arguments[3]));
        settings.put("session.timeout.ms", arguments[4]);
        settings.put("heartbeat.interval.ms", "300");
        settings.put("auto.offset.reset", "earliest");
        settings.put("enable.auto.commit", "false");
        if (arguments.length > 5) settings.put("group.instance.id", arguments[5]);
        return settings;
    }

    private static void say(String what, String value) {
        System.out.println("{\"" + what + "\": " + value + "}");
    }
}
