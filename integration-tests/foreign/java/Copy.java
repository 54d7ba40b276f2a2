import java.time.Duration;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * Reads records of one topic's partition 0 and writes them to another's as they are: key, value,
 * headers and timestamp.
 *
 * <p>Arguments: bootstrap address, then from, to, codec and number of records for each copy. Prints
 * one line for each that is done.
 */
public final class Copy {
    private Copy() {}

    /** Runs all copies. */
    public static void main(String[] arguments) throws Exception {
        for (int at = 1; at + 3 < arguments.length; at += 4) {
            int count = Integer.parseInt(arguments[at + 3]);
            copy(arguments[0], arguments[at], arguments[at + 1], arguments[at + 2], count);
            System.out.println("copied " + count);
        }
    }

    private static void copy(String bootstrap, String from, String to, String codec, int count) throws Exception {
        var deserializer = new ByteArrayDeserializer();
        var serializer = new ByteArraySerializer();
        Map<String, Object> reads = Map.of("bootstrap.servers", bootstrap, "auto.offset.reset", "earliest");
        Map<String, Object> writes = Map.of("bootstrap.servers", bootstrap, "compression.type", codec, "linger.ms", "50");
        try (var consumer = new KafkaConsumer<>(reads, deserializer, deserializer);
            var producer = new KafkaProducer<>(writes, serializer, serializer)) {
            consumer.assign(List.of(new TopicPartition(from, 0)));
            for (int copied = 0; copied < count; ) {
                for (var one : consumer.poll(Duration.ofMillis(100))) {
                    producer.send(new ProducerRecord<>(to, 0, one.timestamp(), one.key(), one.value(), one.headers()));
                    copied++;
                }
            }
            producer.flush();
        }
    }
}
