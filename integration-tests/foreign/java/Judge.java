import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Properties;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.function.BooleanSupplier;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.Config;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.DescribeConfigsOptions;
import org.apache.kafka.clients.admin.ListConfigResourcesOptions;
import org.apache.kafka.clients.admin.ListOffsetsResult;
import org.apache.kafka.clients.admin.MemberToRemove;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.admin.RemoveMembersFromConsumerGroupOptions;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.consumer.OffsetAndTimestamp;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicCollection;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.record.TimestampType;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * Apache Kafka's own producer, consumer and admin client against the broker, all in one process.
 *
 * <p>Arguments: bootstrap address, a prefix for every name. Prints {@code ok NAME} or {@code FAIL
 * NAME: why} for each case and ends with code 1 when any failed.
 */
public final class Judge {
    private static final long START = 1_700_000_000_000L;
    private static final List<String> CODECS = List.of("none", "gzip", "snappy", "lz4", "zstd");

    private interface Case {
        void run() throws Exception;
    }

    private final String bootstrap;
    private final String prefix;
    private final Admin admin;
    private int names = 0;
    private int failures = 0;

    private Judge(String bootstrap, String prefix) {
        this.bootstrap = bootstrap;
        this.prefix = prefix;
        this.admin = Admin.create(Map.of("bootstrap.servers", bootstrap));
    }

    /** Runs every case, in this order. */
    public static void main(String[] arguments) {
        Judge judge = new Judge(arguments[0], arguments[1]);
        for (String codec : CODECS) {
            judge.judge("records-" + codec, () -> judge.recordsComeBack(codec));
            judge.judge("megabyte-" + codec, () -> judge.oneMegabyte(codec));
        }
        judge.judge("idempotent-order", judge::idempotentOrder);
        judge.judge("acks", judge::acks);
        judge.judge("offsets-for-times", judge::offsetsForTimes);
        judge.judge("list-offsets", judge::listOffsets);
        judge.judge("cooperative-group", judge::cooperativeGroup);
        judge.judge("static-member", judge::staticMember);
        judge.judge("commit-and-resume", judge::commitAndResume);
        judge.judge("group-admin", judge::groupAdmin);
        judge.judge("topic-admin", judge::topicAdmin);
        judge.judge("config-admin", judge::configAdmin);
        judge.judge("cluster-admin", judge::clusterAdmin);
        judge.judge("delete-records", judge::deleteRecords);
        judge.judge("refusals", judge::refusals);
        judge.admin.close();
        System.exit(judge.failures == 0 ? 0 : 1);
    }

    private void judge(String name, Case story) {
        try {
            story.run();
            System.out.println("ok " + name);
        } catch (Throwable failure) {
            failures++;
            System.out.println("FAIL " + name + ": " + failure);
            failure.printStackTrace();
        }
    }

    // Records

    private void recordsComeBack(String codec) throws Exception {
        String topic = topic(1, Map.of());
        List<ProducerRecord<byte[], byte[]>> sent = List.of(
            record(topic, "plain", "value", START),
            record(topic, null, "no key", START + 1),
            record(topic, "", "empty key", START + 2),
            record(topic, "empty value", "", START + 3),
            record(topic, "tombstone", null, START + 4),
            record(topic, "late", "older than the others", START - 5000),
            record(topic, "headers", "v", START + 5,
                header("trace", "1"), header("trace", "2"), header("empty", ""), header("null", null)),
            record(topic, "long", "0123456789abcdef".repeat(4096), START + 6));
        try (var producer = producer(Map.of("compression.type", codec, "linger.ms", "50"))) {
            List<Future<RecordMetadata>> written = new ArrayList<>();
            for (var one : sent) written.add(producer.send(one));
            producer.flush();
            for (int index = 0; index < sent.size(); index++) {
                same(written.get(index).get().offset(), (long) index, "offset");
            }
        }
        var records = read(topic, sent.size());
        for (int index = 0; index < sent.size(); index++) {
            var wanted = sent.get(index);
            var seen = records.get(index);
            same(text(seen.key()), text(wanted.key()), "key");
            same(text(seen.value()), text(wanted.value()), "value");
            same(seen.timestamp(), wanted.timestamp(), "timestamp");
            same(seen.timestampType(), TimestampType.CREATE_TIME, "timestamp type");
            same(seen.leaderEpoch(), Optional.of(0), "leader epoch");
            same(headers(seen.headers()), headers(wanted.headers()), "headers");
        }
    }

    /** A million bytes that no codec makes smaller pass the limits that a broker has by itself. */
    private void oneMegabyte(String codec) throws Exception {
        String topic = topic(1, Map.of());
        byte[] large = new byte[1_000_000];
        new java.util.Random(large.length).nextBytes(large);
        try (var producer = producer(Map.of("compression.type", codec, "max.request.size", "4194304"))) {
            producer.send(new ProducerRecord<>(topic, large)).get();
            producer.send(new ProducerRecord<>(topic, new byte[0])).get();
        }
        var records = read(topic, 2, Map.of("max.partition.fetch.bytes", "4096"));
        same(Arrays.equals(records.get(0).value(), large), true, "the large value");
        same(records.get(1).value().length, 0, "the empty value");
    }

    private void idempotentOrder() throws Exception {
        String topic = topic(1, Map.of());
        int count = 20_000;
        try (var producer = producer(Map.of("enable.idempotence", "true", "batch.size", "4096"))) {
            List<Future<RecordMetadata>> written = new ArrayList<>();
            for (int number = 0; number < count; number++) {
                written.add(producer.send(record(topic, null, "" + number, null)));
            }
            producer.flush();
            for (int number = 0; number < count; number++) {
                same(written.get(number).get().offset(), (long) number, "offset");
            }
        }
        var values = read(topic, count).stream().map(one -> text(one.value())).toList();
        same(values, IntStream.range(0, count).mapToObj(Integer::toString).toList(), "values");
    }

    private void acks() throws Exception {
        String topic = topic(1, Map.of());
        for (String acks : List.of("0", "1", "all")) {
            var plain = Map.of("acks", acks, "enable.idempotence", "false");
            try (var producer = producer(plain)) {
                producer.send(record(topic, null, acks, null)).get();
            }
        }
        same(read(topic, 3).stream().map(one -> text(one.value())).toList(), List.of("0", "1", "all"), "values");
    }

    // Offsets

    private void offsetsForTimes() throws Exception {
        TopicPartition partition = new TopicPartition(topic(1, Map.of()), 0);
        fill(partition.topic(), 50, Map.of("compression.type", "zstd", "linger.ms", "100"));
        try (var consumer = consumer(null, Map.of())) {
            consumer.assign(List.of(partition));
            Map<Long, Long> wanted = Map.of(START - 1, 0L, START + 3000, 3L, START + 31_001, 32L);
            for (var one : wanted.entrySet()) {
                OffsetAndTimestamp found = consumer.offsetsForTimes(Map.of(partition, one.getKey())).get(partition);
                same(found.offset(), one.getValue(), "offset by time");
                same(found.timestamp(), START + found.offset() * 1000, "time of the offset");
                same(found.leaderEpoch(), Optional.of(0), "leader epoch");
            }
            same(consumer.offsetsForTimes(Map.of(partition, START + 100_000)).get(partition), null, "nothing later");
            same(consumer.beginningOffsets(List.of(partition)).get(partition), 0L, "beginning");
            same(consumer.endOffsets(List.of(partition)).get(partition), 50L, "end");
            same(consumer.currentLag(partition).isPresent(), false, "no lag is known before a fetch");
            consumer.seekToEnd(List.of(partition));
            same(consumer.position(partition), 50L, "position at the end");
            consumer.seek(partition, 32);
            same(drain(consumer, 1).get(0).offset(), 32L, "record after the seek");
        }
    }

    private void listOffsets() throws Exception {
        TopicPartition partition = new TopicPartition(topic(1, Map.of()), 0);
        same(offset(partition, OffsetSpec.maxTimestamp()), -1L, "max timestamp of an empty partition");
        fill(partition.topic(), 10, Map.of());
        same(offset(partition, OffsetSpec.earliest()), 0L, "earliest");
        same(offset(partition, OffsetSpec.latest()), 10L, "latest");
        same(offset(partition, OffsetSpec.maxTimestamp()), 9L, "max timestamp");
        same(offset(partition, OffsetSpec.earliestLocal()), 0L, "earliest local");
        same(offset(partition, OffsetSpec.latestTiered()), -1L, "latest tiered");
        same(offset(partition, OffsetSpec.forTimestamp(START + 1500)), 2L, "by time");
    }

    private long offset(TopicPartition partition, OffsetSpec spec) throws Exception {
        ListOffsetsResult answer = admin.listOffsets(Map.of(partition, spec));
        return answer.partitionResult(partition).get().offset();
    }

    // Groups

    private void cooperativeGroup() throws Exception {
        String topic = topic(4, Map.of());
        String group = name("group");
        var settings = Map.of(
            "partition.assignment.strategy", "org.apache.kafka.clients.consumer.CooperativeStickyAssignor");
        Set<String> seen = new HashSet<>();
        var first = consumer(group, settings);
        var second = consumer(group, settings);
        try {
            first.subscribe(List.of(topic));
            await(List.of(first), seen, () -> first.assignment().size() == 4, "the first alone");
            second.subscribe(List.of(topic));
            await(List.of(first, second), seen, () -> shared(first, second), "two fair shares");
            for (int partition = 0; partition < 4; partition++) send(topic, partition, "early-" + partition);
            await(List.of(first, second), seen, () -> seen.size() == 4, "the early values");
            var description = admin.describeConsumerGroups(List.of(group)).all().get().get(group);
            same(description.members().size(), 2, "members");
            same(description.partitionAssignor(), "cooperative-sticky", "assignor");
            second.close();
            await(List.of(first), seen, () -> first.assignment().size() == 4, "the takeover");
            for (int partition = 0; partition < 4; partition++) send(topic, partition, "late-" + partition);
            await(List.of(first), seen, () -> seen.size() == 8, "the late values");
        } finally {
            first.close();
            second.close();
        }
    }

    private static boolean shared(KafkaConsumer<byte[], byte[]> one, KafkaConsumer<byte[], byte[]> other) {
        Set<TopicPartition> together = new HashSet<>(one.assignment());
        together.addAll(other.assignment());
        return together.size() == 4 && one.assignment().size() == 2 && other.assignment().size() == 2;
    }

    private void staticMember() throws Exception {
        String topic = topic(2, Map.of());
        String group = name("group");
        var settings = Map.of("group.instance.id", "fixed");
        var first = consumer(group, settings);
        first.subscribe(List.of(topic));
        await(List.of(first), new HashSet<>(), () -> first.assignment().size() == 2, "an assignment");
        // The second incarnation takes the place of the first, which is fenced off.
        var second = consumer(group, settings);
        second.subscribe(List.of(topic));
        await(List.of(second), new HashSet<>(), () -> second.assignment().size() == 2, "the same again");
        refused("FencedInstanceIdException", () -> {
            first.commitSync(Map.of(new TopicPartition(topic, 0), new OffsetAndMetadata(0)));
            first.poll(Duration.ofMillis(100));
        });
        second.close();
        same(admin.describeConsumerGroups(List.of(group)).all().get().get(group).members().size(), 1,
            "a static member stays when it closes");
        var removal = new RemoveMembersFromConsumerGroupOptions(List.of(new MemberToRemove("fixed")));
        admin.removeMembersFromConsumerGroup(group, removal).all().get();
        same(admin.describeConsumerGroups(List.of(group)).all().get().get(group).members().size(), 0, "members");
        first.close();
    }

    private void commitAndResume() throws Exception {
        TopicPartition partition = new TopicPartition(topic(1, Map.of()), 0);
        String group = name("group");
        fill(partition.topic(), 10, Map.of());
        try (var consumer = consumer(group, Map.of("max.poll.records", "4"))) {
            consumer.subscribe(List.of(partition.topic()));
            drain(consumer, 4);
            consumer.commitSync(Map.of(partition, new OffsetAndMetadata(4, Optional.of(0), "half way")));
        }
        try (var consumer = consumer(group, Map.of())) {
            var committed = consumer.committed(Set.of(partition)).get(partition);
            same(committed, new OffsetAndMetadata(4, Optional.of(0), "half way"), "committed");
            consumer.subscribe(List.of(partition.topic()));
            same(drain(consumer, 6).get(0).offset(), 4L, "the first record after the commit");
        }
    }

    private void groupAdmin() throws Exception {
        TopicPartition partition = new TopicPartition(topic(1, Map.of()), 0);
        String group = name("group");
        fill(partition.topic(), 3, Map.of());
        try (var consumer = consumer(group, Map.of("client.id", "watched"))) {
            consumer.subscribe(List.of(partition.topic()));
            drain(consumer, 3);
            consumer.commitSync();
            var listed = admin.listGroups().all().get().stream().filter(one -> one.groupId().equals(group)).toList();
            same(listed.size(), 1, "listed groups");
            same(listed.get(0).protocol(), "consumer", "protocol");
            var described = admin.describeConsumerGroups(List.of(group)).all().get().get(group);
            var member = described.members().iterator().next();
            same(member.clientId() + member.host(), "watched/127.0.0.1", "client");
            same(member.assignment().topicPartitions(), Set.of(partition), "assignment");
            refused("GroupNotEmptyException", () -> admin.deleteConsumerGroups(List.of(group)).all().get());
            refused("GroupSubscribedToTopicException",
                () -> admin.deleteConsumerGroupOffsets(group, Set.of(partition)).all().get());
        }
        same(admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get().get(partition).offset(), 3L,
            "committed");
        admin.alterConsumerGroupOffsets(group, Map.of(partition, new OffsetAndMetadata(1))).all().get();
        admin.deleteConsumerGroupOffsets(group, Set.of(partition)).all().get();
        admin.deleteConsumerGroups(List.of(group)).all().get();
        refused("GroupIdNotFoundException", () -> admin.deleteConsumerGroups(List.of(group)).all().get());
    }

    // Admin

    private void topicAdmin() throws Exception {
        String topic = name("made");
        var created = admin.createTopics(List.of(new NewTopic(topic, 2, (short) 1)));
        created.all().get();
        eventually(() -> served(topic, 0) && served(topic, 1), topic);
        same(created.numPartitions(topic).get(), 2, "partitions");
        same(created.config(topic).get().get("retention.ms").value(), "604800000", "config in the answer");
        Uuid id = created.topicId(topic).get();
        var described = admin.describeTopics(TopicCollection.ofTopicIds(List.of(id))).allTopicIds().get().get(id);
        same(described.name(), topic, "name by id");
        admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(3))).all().get();
        eventually(() -> describe(topic) == 3, "three partitions");
        refused("InvalidPartitionsException",
            () -> admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(2))).all().get());
        same(admin.listTopics().names().get().contains(topic), true, "listed");
        admin.deleteTopics(TopicCollection.ofTopicIds(List.of(id))).all().get();
        refused("UnknownTopicIdException",
            () -> admin.deleteTopics(TopicCollection.ofTopicIds(List.of(id))).all().get());
        String chosen = name("assigned");
        int broker = admin.describeCluster().controller().get().id();
        admin.createTopics(List.of(new NewTopic(chosen, Map.of(0, List.of(broker), 1, List.of(broker))))).all().get();
        eventually(() -> served(chosen, 1), chosen);
        same(describe(chosen), 2, "assigned partitions");
        refused("InvalidReplicaAssignmentException",
            () -> admin.createTopics(List.of(new NewTopic(name("far"), Map.of(0, List.of(99))))).all().get());
    }

    private int describe(String topic) {
        try {
            return admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic).partitions().size();
        } catch (InterruptedException | ExecutionException failure) {
            throw new IllegalStateException(failure);
        }
    }

    private void configAdmin() throws Exception {
        String topic = topic(1, Map.of());
        var resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
        same(config(resource).get("max.message.bytes").value(), "1048588", "default");
        alter(resource, "retention.ms", "1000", AlterConfigOp.OpType.SET);
        alter(resource, "cleanup.policy", "compact", AlterConfigOp.OpType.APPEND);
        eventually(() -> value(resource, "cleanup.policy").equals("delete,compact"), "both policies");
        var entry = config(resource).get("retention.ms");
        same(entry.source(), ConfigEntry.ConfigSource.DYNAMIC_TOPIC_CONFIG, "source");
        same(entry.type(), ConfigEntry.ConfigType.LONG, "type");
        same(entry.documentation() != null && !entry.documentation().isEmpty(), true, "documentation");
        same(entry.synonyms().get(0).name(), "retention.ms", "first synonym");
        alter(resource, "retention.ms", null, AlterConfigOp.OpType.DELETE);
        eventually(() -> value(resource, "retention.ms").equals("604800000"), "the default again");
        refused("InvalidConfigurationException",
            () -> alter(resource, "retention.ms", "-2", AlterConfigOp.OpType.SET));
        refused("InvalidConfigurationException", () -> alter(resource, "no.such", "1", AlterConfigOp.OpType.SET));
        refused("UnknownTopicOrPartitionException", () -> config(
            new ConfigResource(ConfigResource.Type.TOPIC, name("unknown"))));
    }

    private Config config(ConfigResource resource) throws Exception {
        var options = new DescribeConfigsOptions().includeSynonyms(true).includeDocumentation(true);
        return admin.describeConfigs(List.of(resource), options).all().get().get(resource);
    }

    private String value(ConfigResource resource, String key) {
        try {
            return config(resource).get(key).value();
        } catch (Exception failure) {
            throw new IllegalStateException(failure);
        }
    }

    private void alter(ConfigResource resource, String key, String value, AlterConfigOp.OpType how) throws Exception {
        var change = new AlterConfigOp(new ConfigEntry(key, value), how);
        admin.incrementalAlterConfigs(Map.of(resource, List.of(change))).all().get();
    }

    private void clusterAdmin() throws Exception {
        var cluster = admin.describeCluster();
        same(cluster.nodes().get().size(), 1, "nodes");
        same(cluster.clusterId().get().length(), 22, "length of the cluster id");
        var node = cluster.nodes().get().iterator().next();
        same(node.host() + ":" + node.port(), bootstrap, "address");
        same(cluster.controller().get().id(), node.id(), "controller");
        same(node.isFenced(), false, "fenced");
        String topic = topic(1, Map.of());
        fill(topic, 1, Map.of());
        var directories = admin.describeLogDirs(List.of(node.id())).allDescriptions().get().get(node.id());
        var replica = directories.values().iterator().next().replicaInfos().get(new TopicPartition(topic, 0));
        same(replica.size() > 0, true, "size on disk");
        var resources = admin.listConfigResources(
            Set.of(ConfigResource.Type.TOPIC), new ListConfigResourcesOptions()).all().get();
        same(resources.stream().anyMatch(one -> one.name().equals(topic)), true, "listed config resources");
    }

    private void deleteRecords() throws Exception {
        TopicPartition partition = new TopicPartition(topic(1, Map.of()), 0);
        fill(partition.topic(), 10, Map.of());
        same(deleteBefore(partition, 6), 6L, "low watermark");
        same(read(partition.topic(), 4).get(0).offset(), 6L, "the first record");
        same(offset(partition, OffsetSpec.earliest()), 6L, "earliest");
        same(offset(partition, OffsetSpec.forTimestamp(START)), 6L, "by time, not below the start");
        refused("OffsetOutOfRangeException", () -> deleteBefore(partition, 11));
        same(deleteBefore(partition, -1), 10L, "low watermark");
    }

    private long deleteBefore(TopicPartition partition, long offset) throws Exception {
        var answer = admin.deleteRecords(Map.of(partition, RecordsToDelete.beforeOffset(offset)));
        return answer.lowWatermarks().get(partition).get().lowWatermark();
    }

    private void refusals() throws Exception {
        String small = topic(1, Map.of("max.message.bytes", "1000"));
        String compacted = topic(1, Map.of("cleanup.policy", "compact"));
        String plain = topic(1, Map.of());
        var settings = Map.of("enable.idempotence", "false");
        try (var producer = producer(settings)) {
            refused("RecordTooLargeException", () -> producer.send(record(small, "k", "x".repeat(2000), null)).get());
            refused("InvalidRecordException", () -> producer.send(record(compacted, null, "no key", null)).get());
            refused("InvalidTimestampException",
                () -> producer.send(record(plain, null, "v", System.currentTimeMillis() + 7_200_000)).get());
            refused("InvalidTopicException", () -> producer.send(record("has space", null, "v", null)).get());
        }
        refused("InvalidTopicException", () -> create(new NewTopic("has space", 1, (short) 1)));
        refused("InvalidPartitionsException", () -> create(new NewTopic(name("none"), 0, (short) 1)));
        refused("InvalidReplicationFactorException", () -> create(new NewTopic(name("two"), 1, (short) 2)));
        refused("InvalidConfigurationException",
            () -> create(new NewTopic(name("bad"), 1, (short) 1).configs(Map.of("retention.ms", "soon"))));
        refused("TopicExistsException", () -> create(new NewTopic(plain, 1, (short) 1)));
        var consumer = consumer(name("group"), Map.of("session.timeout.ms", "5999", "heartbeat.interval.ms", "1000"));
        consumer.subscribe(List.of(plain));
        refused("InvalidSessionTimeoutException", () -> drain(consumer, 1));
        consumer.close();
    }

    // Helpers

    private String name(String what) {
        names++;
        return String.format("%s-%03d-%s", prefix, names, what);
    }

    private String topic(int partitions, Map<String, String> configs) throws Exception {
        String topic = name("topic");
        create(new NewTopic(topic, partitions, (short) 1).configs(configs));
        // Metadata knows a partition a moment before its leader does, so the leaders are asked.
        eventually(() -> IntStream.range(0, partitions).allMatch(index -> served(topic, index)), topic);
        return topic;
    }

    private boolean served(String topic, int partition) {
        try {
            return offset(new TopicPartition(topic, partition), OffsetSpec.latest()) == 0;
        } catch (Exception failure) {
            return false;
        }
    }

    private void create(NewTopic topic) throws Exception {
        admin.createTopics(List.of(topic)).all().get();
    }

    private KafkaProducer<byte[], byte[]> producer(Map<String, String> settings) {
        Properties properties = new Properties();
        properties.putAll(settings);
        properties.put("bootstrap.servers", bootstrap);
        return new KafkaProducer<>(properties, new ByteArraySerializer(), new ByteArraySerializer());
    }

    private KafkaConsumer<byte[], byte[]> consumer(String group, Map<String, String> settings) {
        Map<String, Object> properties = new HashMap<>(Map.of(
            "bootstrap.servers", bootstrap,
            "auto.offset.reset", "earliest",
            "enable.auto.commit", "false",
            "fetch.max.wait.ms", "100",
            "heartbeat.interval.ms", "300",
            "session.timeout.ms", "10000"));
        if (group != null) properties.put("group.id", group);
        properties.putAll(settings);
        return new KafkaConsumer<>(properties, new ByteArrayDeserializer(), new ByteArrayDeserializer());
    }

    private static ProducerRecord<byte[], byte[]> record(
            String topic, String key, String value, Long timestamp, Header... headers) {
        return new ProducerRecord<>(topic, 0, timestamp, bytes(key), bytes(value), List.of(headers));
    }

    private static Header header(String key, String value) {
        return new RecordHeader(key, bytes(value));
    }

    private static List<String> headers(Iterable<Header> headers) {
        List<String> all = new ArrayList<>();
        headers.forEach(one -> all.add(one.key() + "=" + text(one.value())));
        return all;
    }

    private static byte[] bytes(String text) {
        return text == null ? null : text.getBytes(StandardCharsets.UTF_8);
    }

    private static String text(byte[] bytes) {
        return bytes == null ? null : new String(bytes, StandardCharsets.UTF_8);
    }

    private void fill(String topic, int count, Map<String, String> settings) throws Exception {
        try (var producer = producer(settings)) {
            List<Future<RecordMetadata>> written = new ArrayList<>();
            for (int number = 0; number < count; number++) {
                written.add(producer.send(record(topic, null, "" + number, START + number * 1000L)));
            }
            for (var one : written) one.get();
        }
    }

    private void send(String topic, int partition, String value) throws Exception {
        try (var producer = producer(Map.of())) {
            producer.send(new ProducerRecord<>(topic, partition, null, bytes(value))).get();
        }
    }

    private List<ConsumerRecord<byte[], byte[]>> read(String topic, int count) {
        return read(topic, count, Map.of());
    }

    private List<ConsumerRecord<byte[], byte[]>> read(String topic, int count, Map<String, String> settings) {
        try (var consumer = consumer(null, settings)) {
            TopicPartition partition = new TopicPartition(topic, 0);
            consumer.assign(List.of(partition));
            consumer.seekToBeginning(List.of(partition));
            return drain(consumer, count);
        }
    }

    private static List<ConsumerRecord<byte[], byte[]>> drain(KafkaConsumer<byte[], byte[]> consumer, int count) {
        List<ConsumerRecord<byte[], byte[]>> records = new ArrayList<>();
        eventually(() -> {
            consumer.poll(Duration.ofMillis(100)).forEach(records::add);
            return records.size() >= count;
        }, count + " records");
        return records;
    }

    /** Polls all consumers in turn, adding the values to {@code seen}, until the condition holds. */
    private static void await(
            Collection<KafkaConsumer<byte[], byte[]>> consumers, Set<String> seen, BooleanSupplier condition, String what) {
        eventually(() -> {
            for (var consumer : consumers) {
                consumer.poll(Duration.ofMillis(50)).forEach(one -> seen.add(text(one.value())));
            }
            return condition.getAsBoolean();
        }, what);
    }

    /** The deadline bounds a hang; it is never what a case measures. */
    private static void eventually(BooleanSupplier condition, String what) {
        long end = System.nanoTime() + Duration.ofSeconds(60).toNanos();
        while (!condition.getAsBoolean()) {
            if (System.nanoTime() > end) throw new AssertionError("gave up waiting for " + what);
            Thread.onSpinWait();
        }
    }

    private static void same(Object seen, Object wanted, String what) {
        if (!java.util.Objects.equals(seen, wanted)) {
            throw new AssertionError(what + " is " + seen + ", not " + wanted);
        }
    }

    /** Runs a call that must fail with the named exception, at the top or as a cause. */
    private static void refused(String exception, Case call) throws Exception {
        Set<String> found = new TreeSet<>();
        try {
            call.run();
        } catch (Exception failure) {
            for (Throwable cause = failure; cause != null; cause = cause.getCause()) {
                found.add(cause.getClass().getSimpleName());
            }
            if (found.contains(exception)) return;
            throw new AssertionError("refused with " + found.stream().collect(Collectors.joining(", ")), failure);
        }
        throw new AssertionError("not refused with " + exception);
    }
}
