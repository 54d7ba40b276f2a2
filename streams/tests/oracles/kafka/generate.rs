//! Random cases.
//!
//! What is left out on purpose, because it is known to come out otherwise (see what has a `here`, and
//! docs/decisions/0005):
//! - the suppression of sliding and session windows until they close, which closes strictly here;
//! - records that are near enough to a session that has closed and come out: Kafka goes on with it as long
//!   as its store has it, so that the same records come out twice;
//! - old values of counts and aggregates of streams: Kafka begins them with what the aggregate begins with,
//!   so that what was never added is subtracted;
//! - old values behind a suppression: Kafka gives those of the last update, not what had come out, with the
//!   same effect;
//! - filters of tables that are kept only because of what comes later: Kafka has no old values for them, as
//!   it goes by the order in which nodes are added.
//!
//! What Kafka's stores lose of windows, and what its joins look for too late, is dealt with in
//! StreamsJudge.java.

use serde_json::{Value, json};

/// The case of a seed.
pub(super) fn case(seed: u64) -> Value {
    let mut case = Generator {
        random: Random(seed),
        nodes: Vec::new(),
        observe: Vec::new(),
        topics: Vec::new(),
        ints: false,
        late: i64::MAX,
    };
    case.ints = case.random.chance(40);
    match case.random.below(12) {
        0 => case.aggregate(),
        1..=3 => case.windows(),
        4 | 5 => case.stream_join(),
        6 => case.lookup(),
        7 => case.table_join(),
        8 => case.table_group(),
        9 => case.lone_table(),
        _ => case.mixed(),
    }
    let steps = case.steps();
    json!({
        "name": format!("seed {seed}"),
        "source": "random",
        "time": "stream",
        "topology": case.nodes,
        "observe": case.observe,
        "steps": steps,
    })
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn between(&mut self, least: i64, most: i64) -> i64 {
        least + i64::try_from(self.below(most.abs_diff(least) + 1)).unwrap_or_default()
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[usize::try_from(self.below(all.len() as u64)).unwrap_or_default()]
    }
}

struct Generator {
    random: Random,
    nodes: Vec<Value>,
    observe: Vec<String>,
    topics: Vec<String>,
    /// Values are numbers, not texts.
    ints: bool,
    /// How much a record is behind the latest one at most.
    late: i64,
}

impl Generator {
    /// Adds a node.
    fn node(&mut self, op: &str, fields: Value) -> String {
        let id = format!("n{}", self.nodes.len());
        let mut node = json!({"id": id, "op": op});
        if let (Some(node), Value::Object(fields)) = (node.as_object_mut(), fields) {
            node.extend(fields);
        }
        self.nodes.push(node);
        id
    }

    fn topic(&mut self) -> String {
        let topic = format!("t{}", self.topics.len());
        self.topics.push(topic.clone());
        topic
    }

    fn look(&mut self, id: &str) {
        if !self.observe.iter().any(|known| known == id) {
            self.observe.push(id.to_owned());
        }
    }

    fn sometimes_look(&mut self, id: &str) {
        if self.random.chance(20) {
            self.look(id);
        }
    }

    fn condition(&mut self) -> &'static str {
        if self.ints {
            let all = ["value_even", "value_gt:3", "value_lt:5", "value_not_null"];
            self.random.of(&all)
        } else {
            self.random
                .of(&["value_len_gt:1", "value_not_null", "value_len_gt:2"])
        }
    }

    fn map(&mut self) -> &'static str {
        if self.ints {
            self.random.of(&["identity", "parse_int_neg"])
        } else {
            self.random.of(&["identity", "char_at_0"])
        }
    }

    fn new_key(&mut self) -> &'static str {
        self.random
            .of(&["value_first_char_to_key", "value_to_key", "key_value_to:k"])
    }

    /// A stream of a topic of its own, or of several, with something done to it.
    fn stream(&mut self) -> String {
        let topic = self.topic();
        let mut id = self.node("stream", json!({"topic": topic}));
        if self.random.chance(10) {
            let topic = self.topic();
            let other = self.node("stream", json!({"topic": topic}));
            id = self.node("merge", json!({"from": [id, other]}));
        }
        self.stateless(id)
    }

    fn stateless(&mut self, mut id: String) -> String {
        for _ in 0..self.random.below(3) {
            id = match self.random.below(4) {
                0 => {
                    let (keep, not) = (self.condition(), self.random.chance(20));
                    self.node("filter", json!({"from": id, "fn": keep, "not": not}))
                }
                1 => {
                    let map = self.map();
                    self.node("map_values", json!({"from": id, "fn": map}))
                }
                2 => {
                    let key = self.new_key();
                    self.node("select_key", json!({"from": id, "fn": key}))
                }
                _ => return id,
            };
        }
        id
    }

    fn grouped(&mut self) -> String {
        let stream = self.stream();
        if self.random.chance(30) {
            let key = self.new_key();
            self.node("group_by", json!({"from": stream, "fn": key}))
        } else {
            self.node("group_by_key", json!({"from": stream}))
        }
    }

    /// What aggregates; `merges` where it has to say how two become one.
    fn aggregation(&mut self, merges: bool) -> (&'static str, Value) {
        match (self.random.below(3), self.ints) {
            (0, _) => ("count", json!({})),
            (1, true) => ("reduce", json!({"add": "int_sum"})),
            (1, false) => ("reduce", json!({"add": "concat"})),
            (_, true) if merges => (
                "aggregate",
                json!({"init": "int_zero", "add": "int_sum", "merge": "int_sum"}),
            ),
            (_, true) => ("aggregate", json!({"init": "int_zero", "add": "int_sum"})),
            (_, false) if merges => (
                "aggregate",
                json!({"init": "empty", "add": "concat", "merge": "concat"}),
            ),
            (_, false) => ("aggregate", json!({"init": "zero", "add": "append"})),
        }
    }

    /// Adds an aggregate of `from`.
    fn aggregated(&mut self, from: &str, merges: bool, more: Value) -> String {
        let (op, mut fields) = self.aggregation(merges);
        fields["from"] = json!(from);
        if let (Some(fields), Value::Object(more)) = (fields.as_object_mut(), more) {
            fields.extend(more);
        }
        self.node(op, fields)
    }

    fn aggregate(&mut self) {
        let grouped = self.grouped();
        let id = self.aggregated(&grouped, false, json!({}));
        self.look(&id);
        let id = self.held_back(id, 40);
        self.look(&id);
    }

    /// A table that says truly what was there before.
    fn reduced(&mut self) -> String {
        let grouped = self.grouped();
        let add = if self.ints { "int_sum" } else { "concat" };
        let id = self.node("reduce", json!({"from": grouped, "add": add}));
        self.sometimes_look(&id);
        self.table_steps(id)
    }

    /// A suppression by time, with so many percent.
    fn held_back(&mut self, id: String, percent: u64) -> String {
        if !self.random.chance(percent) {
            return id;
        }
        let limit = self.random.between(0, 8);
        let mut fields = json!({"from": id, "until": "time_limit", "limit": limit});
        if self.random.chance(40) {
            fields["max_records"] = json!(self.random.between(1, 3));
            fields["when_full"] = json!("emit");
        }
        self.node("suppress", fields)
    }

    fn windows(&mut self) {
        let grouped = self.grouped();
        let grace = self.random.between(0, 8);
        let size = self.random.between(1, 12);
        let kind = self
            .random
            .of(&["tumbling", "hopping", "sliding", "session"]);
        let windows = match kind {
            "tumbling" => json!({"kind": kind, "size": size, "grace": grace}),
            "hopping" => {
                let advance = self.random.between(1, size);
                json!({"kind": kind, "size": size, "advance": advance, "grace": grace})
            }
            "sliding" => json!({"kind": kind, "difference": size, "grace": grace}),
            _ => json!({"kind": kind, "gap": size, "grace": grace}),
        };
        let windowed = self.node("windowed_by", json!({"from": grouped, "windows": windows}));
        let emit = if self.random.chance(30) {
            "final"
        } else {
            "update"
        };
        if kind == "session" && emit == "final" {
            self.late = grace;
        }
        let id = self.aggregated(&windowed, kind == "session", json!({"emit": emit}));
        self.look(&id);
        if emit == "update" && self.random.chance(50) {
            let ends_outside = matches!(kind, "tumbling" | "hopping");
            let id = if ends_outside && self.random.chance(70) {
                self.node("suppress", json!({"from": id, "until": "window_close"}))
            } else {
                self.held_back(id, 100)
            };
            self.look(&id);
        }
    }

    fn joiner(&mut self) -> &'static str {
        if self.ints && self.random.chance(50) {
            "add_ints"
        } else {
            self.random.of(&["plus", "dash"])
        }
    }

    fn stream_join(&mut self) {
        let left = self.stream();
        let right = if self.random.chance(15) {
            left.clone()
        } else {
            self.stream()
        };
        let mut before = self.random.between(0, 8);
        let mut after = self.random.between(0, 8);
        if self.random.chance(20) {
            let earlier = self.random.between(1, before.max(1));
            (before, after) = (before.max(1), -earlier);
            if self.random.chance(50) {
                (before, after) = (after, before);
            }
        }
        let grace = self.random.between(0, 8);
        let windows = json!({"kind": "join", "before": before, "after": after, "grace": grace});
        let (op, joiner) = (
            self.random.of(&["join", "left_join", "outer_join"]),
            self.joiner(),
        );
        let fields = json!({"left": left, "right": right, "joiner": joiner, "windows": windows});
        let id = self.node(op, fields);
        self.look(&id);
    }

    /// A stream that looks into a table.
    fn lookup(&mut self) {
        let table = self.table();
        let table = self.table_steps(table);
        let stream = self.stream();
        let (op, joiner) = (self.random.of(&["join", "left_join"]), self.joiner());
        let fields = json!({"left": stream, "right": table, "joiner": joiner});
        let id = self.node(op, fields);
        self.look(&id);
        self.sometimes_look(&table);
    }

    /// A table of a topic, which is kept.
    fn table(&mut self) -> String {
        let topic = self.topic();
        if self.random.chance(15) {
            let stream = self.node("stream", json!({"topic": topic}));
            let stream = self.stateless(stream);
            return self.node("to_table", json!({"from": stream}));
        }
        self.node("table", json!({"topic": topic, "materialized": true}))
    }

    /// A table with nothing behind it that would have it kept.
    fn lone_table(&mut self) {
        let (topic, kept) = (self.topic(), self.random.chance(30));
        let mut id = self.node("table", json!({"topic": topic, "materialized": kept}));
        self.sometimes_look(&id);
        if kept {
            id = self.table_steps(id);
        } else if self.random.chance(70) {
            let keep = self.condition();
            id = self.node("filter", json!({"from": id, "fn": keep}));
        }
        self.look(&id);
    }

    fn table_steps(&mut self, mut id: String) -> String {
        if self
            .nodes
            .last()
            .is_some_and(|node| node["op"] == "to_table")
        {
            return id;
        }
        for _ in 0..self.random.below(3) {
            let kept = self.random.chance(30);
            id = if self.random.chance(60) {
                let (keep, not) = (self.condition(), self.random.chance(20));
                let fields = json!({"from": id, "fn": keep, "not": not, "materialized": kept});
                self.node("filter", fields)
            } else {
                let map = self.map();
                let fields = json!({"from": id, "fn": map, "materialized": kept});
                self.node("map_values", fields)
            };
            self.sometimes_look(&id);
        }
        id
    }

    fn joined_tables(&mut self, left: &str, right: &str) -> String {
        let op = self.random.of(&["join", "left_join", "outer_join"]);
        let (joiner, kept) = (self.joiner(), self.random.chance(30));
        let fields = json!({"left": left, "right": right, "joiner": joiner, "materialized": kept});
        self.node(op, fields)
    }

    fn table_join(&mut self) {
        let left = self.table();
        let left = self.table_steps(left);
        let right = self.table();
        let right = self.table_steps(right);
        let mut id = self.joined_tables(&left, &right);
        if self.random.chance(30) {
            self.sometimes_look(&id);
            let third = self.table();
            let third = self.table_steps(third);
            id = self.joined_tables(&id, &third);
        }
        if self.random.chance(40) {
            id = self.table_steps(id);
        }
        self.look(&id);
    }

    fn table_group(&mut self) {
        let table = self.table();
        let id = self.regrouped(table);
        let id = self.table_steps(id);
        self.look(&id);
    }

    /// A table by other keys.
    fn regrouped(&mut self, table: String) -> String {
        let table = self.table_steps(table);
        let pair = self
            .random
            .of(&["value_first_char_to_key", "key_value_to:k", "identity"]);
        let grouped = self.node("group_by", json!({"from": table, "fn": pair}));
        let (op, mut fields) = match (self.random.below(3), self.ints) {
            (0, _) => ("count", json!({})),
            (1, true) => ("reduce", json!({"add": "int_sum", "sub": "int_sub"})),
            (1, false) => ("reduce", json!({"add": "concat", "sub": "remove"})),
            (_, true) => (
                "aggregate",
                json!({"init": "int_zero", "add": "int_sum", "sub": "int_sub"}),
            ),
            (_, false) => (
                "aggregate",
                json!({"init": "zero", "add": "append", "sub": "remove"}),
            ),
        };
        fields["from"] = json!(grouped);
        let id = self.node(op, fields);
        self.look(&id);
        id
    }

    /// Aggregates, tables and joins behind one another.
    fn mixed(&mut self) {
        let reduced = self.reduced();
        let table = self.table();
        let table = self.table_steps(table);
        let mut id = self.joined_tables(&reduced, &table);
        self.look(&id);
        if self.random.chance(40) {
            id = self.regrouped(id);
        }
        if self.random.chance(30) {
            let stream = self.stream();
            let (op, joiner) = (self.random.of(&["join", "left_join"]), self.joiner());
            let fields = json!({"left": stream, "right": id, "joiner": joiner});
            id = self.node(op, fields);
            self.look(&id);
        }
    }

    /// Records: often at equal times, often out of order, sometimes far ahead; at last one that closes
    /// what is open.
    fn steps(&mut self) -> Vec<Value> {
        let mut steps = Vec::new();
        let mut time = self.random.between(0, 20);
        for _ in 0..self.random.between(8, 40) {
            time += match self.random.below(10) {
                0..=3 => 0,
                4..=8 => self.random.between(1, 4),
                _ => self.random.between(5, 30),
            };
            let at = if self.random.chance(35) {
                time - self.random.between(0, 20.min(self.late))
            } else {
                time
            };
            let topic = self.random.below(self.topics.len() as u64);
            let topic = self.topics[usize::try_from(topic).unwrap_or_default()].clone();
            let key = if self.random.chance(6) {
                Value::Null
            } else {
                json!(self.random.of(&["a", "b", "c"]))
            };
            let value = self.value();
            steps.push(json!({"in": topic, "r": [key, value, at.max(0)]}));
        }
        for topic in self.topics.clone() {
            let value = if self.ints { json!(4) } else { json!("end") };
            steps.push(json!({"in": topic, "r": ["z", value, time + 100]}));
        }
        steps
    }

    fn value(&mut self) -> Value {
        if self.random.chance(12) {
            return Value::Null;
        }
        if self.ints {
            return json!(self.random.between(0, 9));
        }
        json!(self.random.of(&["x", "y", "xx", "yz", "xyz", "zzz"]))
    }
}
