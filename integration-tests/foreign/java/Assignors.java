import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.Collectors;
import org.apache.kafka.clients.consumer.ConsumerGroupMetadata;
import org.apache.kafka.clients.consumer.ConsumerPartitionAssignor;
import org.apache.kafka.clients.consumer.ConsumerPartitionAssignor.Assignment;
import org.apache.kafka.clients.consumer.ConsumerPartitionAssignor.GroupSubscription;
import org.apache.kafka.clients.consumer.ConsumerPartitionAssignor.Subscription;
import org.apache.kafka.clients.consumer.CooperativeStickyAssignor;
import org.apache.kafka.clients.consumer.RangeAssignor;
import org.apache.kafka.clients.consumer.RoundRobinAssignor;
import org.apache.kafka.clients.consumer.StickyAssignor;
import org.apache.kafka.common.Cluster;
import org.apache.kafka.common.Node;
import org.apache.kafka.common.PartitionInfo;
import org.apache.kafka.common.TopicPartition;

/**
 * Shares partitions out as Kafka's own assignors do.
 *
 * <p>Reads cases from standard input, a line for each thing: {@code topic NAME PARTITIONS}, {@code
 * member ID INSTANCE TOPICS OWNED GENERATION} with lists separated by commas and "-" for none, and at
 * the end of a case {@code assign ASSIGNOR}. Answers that with one line: for each member, in order, its
 * id and its partitions in order, as {@code m0=t-0,t-1 m1=}.
 */
public final class Assignors {
    private static final Node NODE = new Node(0, "localhost", 1);

    private Assignors() {}

    /** Runs until the input ends. */
    public static void main(String[] arguments) throws Exception {
        var input = new BufferedReader(new InputStreamReader(System.in));
        List<PartitionInfo> partitions = new ArrayList<>();
        Map<String, String[]> members = new HashMap<>();
        for (String line = input.readLine(); line != null; line = input.readLine()) {
            String[] words = line.split(" ");
            switch (words[0]) {
                case "topic" -> {
                    for (int index = 0; index < Integer.parseInt(words[2]); index++) {
                        partitions.add(new PartitionInfo(words[1], index, NODE, new Node[] {NODE}, new Node[] {NODE}));
                    }
                }
                case "member" -> members.put(words[1], words);
                default -> {
                    System.out.println(assign(words[1], partitions, members));
                    partitions.clear();
                    members.clear();
                }
            }
        }
    }

    /** What a member tells by an assignor that had given it what it owns. */
    // Nothing else tells an assignor a generation.
    @SuppressWarnings("removal")
    private static Subscription subscription(ConsumerPartitionAssignor assignor, String[] words) {
        var topics = list(words[3]);
        var owned = list(words[4]).stream().map(Assignors::partition).toList();
        int generation = Integer.parseInt(words[5]);
        if (generation >= 0) {
            var metadata = new ConsumerGroupMetadata("group", generation, words[1], Optional.empty());
            assignor.onAssignment(new Assignment(owned), metadata);
        }
        var told = assignor.subscriptionUserData(Set.copyOf(topics));
        var subscription = new Subscription(topics, told, owned, generation, Optional.empty());
        if (!words[2].equals("-")) subscription.setGroupInstanceId(Optional.of(words[2]));
        return subscription;
    }

    private static List<String> list(String words) {
        return words.equals("-") ? List.of() : List.of(words.split(","));
    }

    private static TopicPartition partition(String name) {
        int dash = name.lastIndexOf('-');
        return new TopicPartition(name.substring(0, dash), Integer.parseInt(name.substring(dash + 1)));
    }

    private static ConsumerPartitionAssignor named(String name) {
        return switch (name) {
            case "range" -> new RangeAssignor();
            case "roundrobin" -> new RoundRobinAssignor();
            case "sticky" -> new StickyAssignor();
            default -> new CooperativeStickyAssignor();
        };
    }

    private static String assign(String name, List<PartitionInfo> partitions, Map<String, String[]> members) {
        Map<String, Subscription> told = new HashMap<>();
        members.forEach((id, words) -> told.put(id, subscription(named(name), words)));
        var cluster = new Cluster("cluster", List.of(NODE), partitions, Set.of(), Set.of());
        var shared = named(name).assign(cluster, new GroupSubscription(told)).groupAssignment();
        return new TreeMap<>(shared).entrySet().stream()
            .map(one -> one.getKey() + "=" + one.getValue().partitions().stream()
                .map(TopicPartition::toString).sorted().collect(Collectors.joining(",")))
            .collect(Collectors.joining(" "));
    }
}
