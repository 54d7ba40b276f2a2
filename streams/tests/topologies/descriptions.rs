use std::time::Duration;

use tidemark_streams::time::{EventTime, JoinWindows, TimeWindows};
use tidemark_streams::{
    Consumed, Produced, Repartitioned, StreamsBuilder, StreamsError, Suppress, Topology, json_data,
};

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn payments() -> Topology {
    let builder = StreamsBuilder::new();
    let orders = builder.stream::<String, i64>("orders");
    let payments = builder.stream::<String, i64>("payments");
    let by_order = payments.select_key(|_, amount| amount.to_string());
    let joined = orders.left_join(
        &by_order,
        |order, payment| payment.map_or(*order, |payment| order - payment),
        JoinWindows::within(ms(1000)),
    );
    let mut branches = joined.split();
    branches.branch(|_, open| *open > 0).to("open");
    branches.otherwise().to("paid");
    joined.late_left().to("late_orders");
    let counts = orders
        .group_by_key()
        .windowed_by(TimeWindows::tumbling(ms(500)))
        .count();
    counts.values().to("counts");
    builder.build().unwrap()
}

fn check(got: &str, expected: &str) {
    assert_eq!(got, expected, "{got}");
}

#[test]
fn as_text() {
    check(
        &payments().describe(),
        "\
subtopology 0
  orders: reads orders
  payments.select_key-repartition.read: reads <application>-payments.select_key-repartition
  payments.select_key-repartition: deduplication <- payments.select_key-repartition.read \
[payments.select_key-repartition-read]
  orders.left_join: join of streams: 1000 ms before to 1000 ms after <- orders, \
payments.select_key-repartition [orders.left_join.left, orders.left_join.right, \
orders.left_join.left-unmatched]
  orders.left_join.split: branches <- orders.left_join#0
  orders.left_join.split.to: writes open <- orders.left_join.split#0
  orders.left_join.split.to-2: writes paid <- orders.left_join.split#1
  orders.left_join.to: writes late_orders <- orders.left_join#1
  orders.count: aggregate by windows: tumbling 500 ms <- orders [orders.count]
  orders.count.values: stateless, of a table <- orders.count#0
  orders.count.values.to: writes counts <- orders.count.values
subtopology 1
  payments: reads payments
  payments.select_key: stateless <- payments
  payments.select_key.to: writes <application>-payments.select_key-repartition <- \
payments.select_key [payments.select_key-repartition-written]
",
    );
}

#[test]
fn operators_say_what_they_do() {
    let builder = StreamsBuilder::new();
    let stream = builder.stream::<String, i64>("in");
    let table = stream.in_order(ms(5), EventTime::Watermark).to_table();
    let even = table.filter(|_, value| value % 2 == 0);
    let held = even.suppress_until_time_limit(ms(10), Suppress::new());
    held.to_stream().to("out");
    check(
        &builder.build().unwrap().describe(),
        "\
subtopology 0
  in: reads in
  in.in_order: waits for event time <- in [in.in_order]
  in.in_order.to_table: table <- in.in_order
  in.in_order.to_table.filter: stateless, of a table <- in.in_order.to_table
  in.in_order.to_table.filter.suppress: waits for event time <- in.in_order.to_table.filter \
[in.in_order.to_table.filter.suppress]
  in.in_order.to_table.filter.suppress.to_stream: stateless, of a table <- \
in.in_order.to_table.filter.suppress
  in.in_order.to_table.filter.suppress.to_stream.to: writes out <- \
in.in_order.to_table.filter.suppress.to_stream
",
    );
}

fn words() -> Topology {
    let builder = StreamsBuilder::new();
    builder
        .stream::<(), String>("text")
        .named("the_text")
        .group_by(|_, word| word.clone())
        .count()
        .values()
        .to("counts");
    builder.build().unwrap()
}

#[test]
fn as_a_flow_chart() {
    check(
        &words().to_mermaid(),
        r#"flowchart TD
  subgraph s0 ["subtopology 0"]
    n0["the_text<br/>reads text"]
    n1["the_text.select_key<br/>stateless"]
    n2["the_text.select_key.to<br/>writes #lt;application#gt;-the_text.select_key-repartition"]
    st0[("the_text.select_key-repartition-written")]
  end
  subgraph s1 ["subtopology 1"]
    n3["the_text.select_key-repartition.read<br/>reads #lt;application#gt;-the_text.select_key-repartition"]
    n4["the_text.select_key-repartition<br/>deduplication"]
    n5["the_text.select_key-repartition.count<br/>aggregate"]
    n6["the_text.select_key-repartition.count.values<br/>stateless, of a table"]
    n7["the_text.select_key-repartition.count.values.to<br/>writes counts"]
    st1[("the_text.select_key-repartition-read")]
    st2[("the_text.select_key-repartition.count")]
  end
  n0 --> n1
  n1 --> n2
  n2 --- st0
  n2 -.-> n3
  n3 --> n4
  n4 --- st1
  n4 --> n5
  n5 --- st2
  n5 --> n6
  n6 --> n7
"#,
    );
}

#[test]
fn as_a_graph() {
    let builder = StreamsBuilder::new();
    let table = builder.table::<String, i64>("table");
    let stream = builder.stream::<String, i64>("in");
    stream.join_table(&table, |a, b| a + b).to("out");
    check(
        &builder.build().unwrap().to_dot(),
        r#"digraph topology {
  node [shape=box];
  subgraph cluster_0 {
    label="subtopology 0";
    n0 [label="table\nreads table"];
    n1 [label="table.table\ntable"];
    n2 [label="in\nreads in"];
    n3 [label="in.join_table\njoin with a table"];
    n4 [label="in.join_table.to\nwrites out"];
    st0 [shape=cylinder, label="table.table"];
  }
  n0 -> n1;
  n1 -> st0 [dir=none, style=dotted];
  n2 -> n3;
  n3 -> st0 [dir=none, style=dotted];
  n3 -> n4;
}
"#,
    );
}

/// What is wrong with a topology in a cluster with these topics.
fn problems(topology: &Topology, topics: &[(&str, u32)]) -> Vec<String> {
    let count = |topic: &str| {
        let found = topics.iter().find(|(name, _)| *name == topic);
        found.map(|(_, count)| *count)
    };
    match topology.check_partitions(&count) {
        Ok(()) => Vec::new(),
        Err(StreamsError::Topology(problems)) => problems,
        Err(other) => panic!("{other}"),
    }
}

fn joining(build: impl Fn(&StreamsBuilder)) -> Topology {
    let builder = StreamsBuilder::new();
    build(&builder);
    builder.build().unwrap()
}

#[test]
fn topics_that_are_joined_have_one_number_of_partitions() {
    let topology = joining(|builder| {
        let a = builder.stream::<String, i64>("a");
        let b = builder.stream::<String, i64>("b");
        let windows = JoinWindows::within(ms(10));
        a.join(&b, |a, b| a + b, windows).to("out");
        let by_value = a.select_key(|_, value| value.to_string());
        let table = builder.table::<String, i64>("t");
        by_value.join_table(&table, |a, t| a + t).to("out2");
    });
    let all = [("a", 4), ("b", 4), ("t", 6), ("out", 1), ("out2", 1)];
    assert!(problems(&topology, &all).is_empty());
    let some = [("a", 4), ("b", 6), ("t", 2), ("out", 1), ("out2", 1)];
    assert_eq!(
        problems(&topology, &some),
        [
            "a.join: topics that are joined have to have the same number of partitions: a has 4, b \
             has 6",
        ]
    );
    assert_eq!(
        problems(&topology, &[("a", 4), ("b", 4), ("out", 1)]),
        [
            "t: topic \"t\" does not exist",
            "a.select_key-repartition.join_table.to: topic \"out2\" does not exist",
        ]
    );
}

#[test]
fn names_that_hang_on_an_order_are_told() {
    let topology = joining(|builder| {
        let a = builder.stream::<String, i64>("a");
        for limit in [1, 2] {
            let some = a.filter(move |_, value| *value < limit);
            some.group_by_key().count().to_stream().to("out");
            some.map_values(|value| value).to("out");
        }
        let named = a.filter(|_, value| *value > 9).named("large");
        named.group_by_key().count().to_stream().to("out");
    });
    assert_eq!(topology.names_by_place(), ["a.filter-2.count"]);
}

#[test]
fn topics_that_are_kept_by_key_together_have_one_number_of_partitions() {
    let all = [("a", 4), ("b", 6), ("out", 1)];
    let merged = joining(|builder| {
        let a = builder.stream::<String, i64>("a");
        let b = builder.stream::<String, i64>("b");
        a.merge(&b).group_by_key().count().to_stream().to("out");
    });
    assert_eq!(
        problems(&merged, &all),
        [
            "a.merge.count: topics that are merged and kept by key (unless by repartition) have to \
             have the same number of partitions: a has 4, b has 6"
        ]
    );
    let together = joining(|builder| {
        let a = builder.stream::<String, i64>("a").group_by_key();
        let b = builder.stream::<String, i64>("b").group_by_key();
        let sum = |_: &String, value: i64, sum: &mut i64| *sum += value;
        let sums = a.cogroup(sum).and(&b, sum);
        sums.aggregate(|| 0).to_stream().to("out");
    });
    assert_eq!(problems(&together, &all).len(), 1);
    // Its own topics it gives one number.
    let by_value = joining(|builder| {
        let by_value = |topic: &str| {
            let stream = builder.stream::<String, i64>(topic);
            stream.select_key(|_, value| *value).group_by_key()
        };
        let sum = |_: &i64, value: i64, sum: &mut i64| *sum += value;
        let sums = by_value("a").cogroup(sum).and(&by_value("b"), sum);
        sums.aggregate(|| 0).to_stream().to("out");
    });
    assert!(problems(&by_value, &all).is_empty());
    // What keeps nothing, or looks things up in a global table, is free.
    let free = joining(|builder| {
        let global = builder.global_table::<i64, i64>("g");
        let both = builder.stream_with::<String, i64>(["a", "b"], Consumed::new());
        both.join_global(&global, |_, value| *value, |own, other| own + other)
            .to("out");
    });
    let all = [("a", 4), ("b", 6), ("g", 2), ("out", 1)];
    assert_eq!(problems(&free, &all), [""; 0]);
}

#[test]
fn repartition_topics_that_were_given_a_number_keep_it() {
    let topology = joining(|builder| {
        let a = builder.stream::<String, i64>("a");
        let a = a.repartition_with(Repartitioned::new().named("mine").partitions(3));
        let b = builder.stream::<String, i64>("b");
        let b = b.select_key(|_, value| value.to_string());
        a.join(&b, |a, b| a + b, JoinWindows::within(ms(10)))
            .to("out");
        let t = builder.table::<String, i64>("t");
        a.join_table(&t, |a, t| a + t).to("out");
    });
    let all = [("a", 4), ("b", 5), ("t", 3), ("out", 1)];
    assert!(problems(&topology, &all).is_empty());
    let all = [("a", 4), ("b", 5), ("t", 4), ("out", 1)];
    assert_eq!(
        problems(&topology, &all),
        [
            "mine-repartition.join: topics that are joined have to have the same number of \
             partitions: <application>-b.select_key-repartition has 4, \
             <application>-mine-repartition has 3",
            "mine-repartition.join_table: topics that are joined have to have the same number of \
             partitions: t has 4, <application>-mine-repartition has 3",
        ]
    );
}

#[test]
fn topics_that_are_joined_have_one_partitioner() {
    let topology = |produced: fn() -> Produced<String, i64>, told: Option<&str>| {
        joining(|builder| {
            let a = builder.stream::<String, i64>("a");
            let a = a.through_with("a2", produced(), Consumed::new());
            let mut consumed = Consumed::new();
            if let Some(told) = told {
                consumed = consumed.partitioned_by(told);
            }
            let b = builder.stream_with::<String, i64>(["b"], consumed);
            a.join(&b, |a, b| a + b, JoinWindows::within(ms(10)))
                .to("out");
        })
    };
    let topics = [("a", 4), ("a2", 4), ("b", 4), ("out", 1)];
    let first = || Produced::new().partitioner(|_, _, _| 0);
    let named = || Produced::new().partitioner(|_, _, _| 0).named("first");
    assert_eq!(
        problems(&topology(first, None), &topics),
        [
            "a2.join: topics that are joined have to be partitioned in the same way: a2 has a \
             partitioner without a name, b has Kafka's partitioner"
        ]
    );
    assert_eq!(problems(&topology(named, Some("other"),), &topics).len(), 1);
    assert!(problems(&topology(named, Some("first")), &topics).is_empty());
    assert!(problems(&topology(Produced::new, None), &topics).is_empty());
}

#[derive(Clone, serde::Serialize, serde::Deserialize)]
struct Click;
#[derive(Clone, serde::Serialize, serde::Deserialize)]
struct Tap;
json_data!(Click, Tap);

fn refusal(build: impl Fn(&StreamsBuilder)) -> String {
    let builder = StreamsBuilder::new();
    build(&builder);
    let refused = builder.build().err().map(|error| error.to_string());
    refused.unwrap_or_default()
}

#[test]
fn a_topic_is_read_as_it_is_written() {
    let none = refusal(|builder| {
        let table = builder.table::<String, Click>("in");
        table.to_stream().to("middle");
        builder.stream::<String, Option<Tap>>("middle").to("out");
    });
    assert_eq!(none, "");
    let types = refusal(|builder| {
        let stream = builder.stream::<String, i64>("in");
        stream.to("middle");
        builder.stream::<i64, String>("middle").to("out");
    });
    assert_eq!(
        types,
        "the topology cannot run: in.to writes keys of the topic middle as UTF-8 text, and middle \
         reads them as i64; in.to writes values of the topic middle as i64, and middle reads them as \
         UTF-8 text"
    );
}

#[test]
fn a_store_and_a_global_table_have_names_of_their_own() {
    let one_name = "the topology cannot run: a store and a global table have the name \"prices\": \
                    give the store another one";
    let global_first = refusal(|builder| {
        let _ = builder.global_table::<String, i64>("prices");
        let stream = builder.stream::<String, i64>("in");
        let _ = stream.group_by_key().count().materialized("prices");
    });
    assert_eq!(global_first, one_name);
    let store_first = refusal(|builder| {
        let stream = builder.stream::<String, i64>("in");
        let _ = stream.group_by_key().count().materialized("prices");
        let _ = builder.global_table::<String, i64>("prices");
    });
    assert_eq!(store_first, one_name);
    let two = refusal(|builder| {
        let stream = builder.stream::<String, i64>("in");
        let _ = stream.group_by_key().count().materialized("counts");
        let _ = builder.global_table::<String, i64>("prices");
    });
    assert_eq!(two, "");
}

#[test]
fn a_topic_is_read_once() {
    let once = refusal(|builder| {
        builder.stream::<String, i64>("in").to("a");
        builder.stream::<String, i64>("in").to("b");
        let _ = builder.global_table::<String, i64>("in");
    });
    assert_eq!(once, "");
    let twice = refusal(|builder| {
        builder.stream::<String, i64>("in").to("a");
        let _ = builder.table::<String, i64>("in");
    });
    assert_eq!(
        twice,
        "the topology cannot run: in and in-2 both read the topic in: make one of them and use it \
         twice"
    );
}
