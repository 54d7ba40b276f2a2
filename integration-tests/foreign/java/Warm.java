import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * Loads what Kafka's tools load at their start, without a broker, and ends. The class archive made
 * from it halves the start of every tool.
 */
public final class Warm {
    private static final List<String> TOOLS = List.of(
        "kafka.admin.ConfigCommand",
        "org.apache.kafka.tools.ConsoleProducer",
        "org.apache.kafka.tools.GetOffsetShell",
        "org.apache.kafka.tools.TopicCommand",
        "org.apache.kafka.tools.consumer.ConsoleConsumer",
        "org.apache.kafka.tools.consumer.ConsoleConsumerOptions",
        "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
        "org.apache.kafka.tools.consumer.group.ConsumerGroupCommandOptions");

    /** Takes no arguments. */
    public static void main(String[] arguments) throws ClassNotFoundException {
        for (String tool : TOOLS) Class.forName(tool);
        Map<String, Object> settings = Map.of("bootstrap.servers", "127.0.0.1:1", "group.id", "warm");
        Admin.create(settings).close();
        new KafkaProducer<>(settings, new ByteArraySerializer(), new ByteArraySerializer()).close();
        new KafkaConsumer<>(settings, new ByteArrayDeserializer(), new ByteArrayDeserializer()).close();
    }
}
