import java.lang.management.ManagementFactory;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Properties;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * Apache Kafka's own client under load, measured from within as load.rs measures the others: prints
 * records, seconds, CPU seconds of the process from the first call on, after a run that warms up.
 */
public final class Load {
    private static final int VALUE = 100;

    public static void main(String[] arguments) throws Exception {
        String bootstrap = arguments[1];
        String topic = arguments[2];
        long records = Long.parseLong(arguments[3]);
        switch (arguments[0]) {
            case "consume" -> {
                consume(bootstrap, topic, Math.min(records, 500_000));
                measure(records, () -> consume(bootstrap, topic, records));
            }
            case "produce" -> {
                produce(bootstrap, topic, Math.min(records, 500_000));
                measure(records, () -> produce(bootstrap, topic, records));
            }
            default -> throw new IllegalArgumentException(arguments[0]);
        }
    }

    private interface Work {
        void run() throws Exception;
    }

    private static void measure(long records, Work work) throws Exception {
        var system = (com.sun.management.OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();
        long cpu = system.getProcessCpuTime();
        long wall = System.nanoTime();
        work.run();
        double seconds = (System.nanoTime() - wall) / 1e9;
        double busy = (system.getProcessCpuTime() - cpu) / 1e9;
        System.out.println(String.format(Locale.ROOT, "%d %.3f %.3f", records, seconds, busy));
    }

    private static void consume(String bootstrap, String topic, long records) {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", bootstrap);
        settings.put("auto.offset.reset", "earliest");
        settings.put("max.poll.records", "10000");
        var bytes = new ByteArrayDeserializer();
        try (var consumer = new KafkaConsumer<>(settings, bytes, bytes)) {
            var partition = new TopicPartition(topic, 0);
            consumer.assign(List.of(partition));
            consumer.seekToBeginning(List.of(partition));
            long found = 0;
            long size = 0;
            while (found < records) {
                for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofSeconds(30))) {
                    size += record.value().length;
                    found++;
                }
            }
            if (size != found * VALUE) {
                throw new IllegalStateException(size + " bytes");
            }
        }
    }

    private static void produce(String bootstrap, String topic, long records) throws Exception {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", bootstrap);
        var bytes = new ByteArraySerializer();
        byte[] value = new byte[VALUE];
        Arrays.fill(value, (byte) 'x');
        try (var producer = new KafkaProducer<>(settings, bytes, bytes)) {
            for (long i = 0; i < records; i++) {
                producer.send(new ProducerRecord<>(topic, value));
            }
            producer.flush();
        }
    }
}
