//! Which partition of `__consumer_offsets` a group lives in.

use super::super::partition_for;

#[test]
fn groups_go_where_kafka_puts_them() {
    let check = |group_id: &str, partitions: i32, expected: i32| {
        assert_eq!(
            partition_for(group_id, partitions),
            expected,
            "{group_id:?} of {partitions}"
        );
    };
    // As `Math.abs(id.hashCode()) % partitions` in a Java shell.
    check("", 50, 0);
    check("a", 50, 47);
    check("ab", 50, 5);
    check("hello", 50, 22);
    check("hello", 1, 0);
    check("group", 50, 47);
    check("console-consumer-12345", 50, 6);
    // Negative hashes: -1906497762, -1793216381 and -685785664.
    check("my-group", 50, 12);
    check("test-consumer-group", 50, 31);
    check("zzzzzz", 50, 14);
    // The smallest number has no absolute value; Kafka takes 0 (`Utils.abs`).
    check("polygenelubricants", 50, 0);
    check("polygenelubricants", 7, 0);
    // A character outside of the basic plane counts as its two surrogates.
    check("\u{1f600}", 50, 49);
}
