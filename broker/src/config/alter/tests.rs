use super::*;

const TOPIC: Resource = Resource::Topic;
const POLICY: &str = "cleanup.policy";
const REPLICAS: &str = "leader.replication.throttled.replicas";

/// Applies an operation to `name`, which has the override `before`; `expected` is the override
/// after it.
fn check(
    name: &str,
    before: Option<&str>,
    op: AlterOp,
    value: Option<&str>,
    expected: Result<Option<&str>, &str>,
) {
    let other = ("segment.bytes".to_owned(), "2000000".to_owned());
    let before = before.map(|value| (name.to_owned(), value.to_owned()));
    let current: Overrides = before.into_iter().chain([other.clone()]).collect();
    let mut after = current.clone();
    let applied = apply_op(TOPIC, &mut after, name, op, value);
    match (applied, expected) {
        (Ok(()), Ok(expected)) => {
            assert_eq!(
                after.get(name).map(String::as_str),
                expected,
                "{name} {op:?} {value:?}"
            );
            assert_eq!(after.get(&other.0), Some(&other.1), "other options stay");
        }
        (Err(error), Err(expected)) => {
            assert_eq!(error.to_string(), expected);
            assert_eq!(after, current, "a refused operation changes nothing");
        }
        (found, expected) => panic!("{found:?} instead of {expected:?}"),
    }
}

#[test]
fn set_and_delete() {
    check("retention.ms", None, AlterOp::Set, Some("5"), Ok(Some("5")));
    check(
        "retention.ms",
        Some("4"),
        AlterOp::Set,
        Some("5"),
        Ok(Some("5")),
    );
    check(
        "retention.ms",
        Some("4"),
        AlterOp::Set,
        Some("soon"),
        Ok(Some("soon")),
    );
    check("retention.ms", Some("4"), AlterOp::Delete, None, Ok(None));
    check(
        "retention.ms",
        None,
        AlterOp::Delete,
        Some("ignored"),
        Ok(None),
    );
    check("no.such.option", Some("4"), AlterOp::Delete, None, Ok(None));
}

#[test]
fn append_adds_what_is_not_there() {
    check(
        POLICY,
        None,
        AlterOp::Append,
        Some("compact"),
        Ok(Some("delete,compact")),
    );
    check(
        POLICY,
        None,
        AlterOp::Append,
        Some("delete"),
        Ok(Some("delete")),
    );
    check(
        POLICY,
        Some(""),
        AlterOp::Append,
        Some("compact"),
        Ok(Some("compact")),
    );
    check(
        REPLICAS,
        None,
        AlterOp::Append,
        Some("0:1,1:1"),
        Ok(Some("0:1,1:1")),
    );
    check(
        REPLICAS,
        Some("0:1,"),
        AlterOp::Append,
        Some("1:1,,"),
        Ok(Some("0:1,1:1")),
    );
    check(
        REPLICAS,
        Some("0:1"),
        AlterOp::Append,
        Some("1:1,1:1,0:1"),
        Ok(Some("0:1,1:1")),
    );
    check(POLICY, None, AlterOp::Append, Some(""), Ok(Some("delete,")));
    check(
        POLICY,
        None,
        AlterOp::Append,
        Some(" compact"),
        Ok(Some("delete, compact")),
    );
}

#[test]
fn subtract_takes_what_is_there() {
    check(
        POLICY,
        None,
        AlterOp::Subtract,
        Some("delete"),
        Ok(Some("")),
    );
    check(
        POLICY,
        Some("compact,delete"),
        AlterOp::Subtract,
        Some("delete"),
        Ok(Some("compact")),
    );
    check(
        POLICY,
        Some("compact"),
        AlterOp::Subtract,
        Some("delete"),
        Ok(Some("compact")),
    );
    check(
        REPLICAS,
        Some("0:1,0:1"),
        AlterOp::Subtract,
        Some("0:1"),
        Ok(Some("0:1")),
    );
    check(
        REPLICAS,
        Some("1:1,0:1,2:1,0:1,0:1"),
        AlterOp::Subtract,
        Some("0:1,2:1,0:1,9:9"),
        Ok(Some("1:1,0:1")),
    );
    check(REPLICAS, None, AlterOp::Subtract, Some("0:1"), Ok(Some("")));
}

#[test]
fn only_lists_can_grow_and_shrink() {
    let error = "Can't APPEND to key retention.ms because its type is not LIST.";
    check("retention.ms", None, AlterOp::Append, Some("5"), Err(error));
    let error = "Can't SUBTRACT to key no.such.option because its type is not LIST.";
    check(
        "no.such.option",
        None,
        AlterOp::Subtract,
        Some("5"),
        Err(error),
    );
}

#[test]
fn a_value_must_be_there() {
    let error = "Null value not supported for : cleanup.policy";
    for op in [AlterOp::Set, AlterOp::Append, AlterOp::Subtract] {
        check(POLICY, None, op, None, Err(error));
    }
}

#[test]
fn brokers_have_their_own_lists() {
    let key = "log.cleanup.policy";
    let mut overrides = Overrides::new();
    let applied = apply_op(
        Resource::Broker,
        &mut overrides,
        key,
        AlterOp::Append,
        Some("compact"),
    );
    assert_eq!(applied, Ok(()), "a list of the broker");
    assert_eq!(
        overrides.get(key).map(String::as_str),
        Some("delete,compact")
    );
    let topic = apply_op(
        TOPIC,
        &mut Overrides::new(),
        key,
        AlterOp::Append,
        Some("compact"),
    );
    assert!(matches!(topic, Err(ConfigError::NotAList { .. })));
}

#[test]
fn operations_have_kafkas_numbers() {
    let ops = [
        AlterOp::Set,
        AlterOp::Delete,
        AlterOp::Append,
        AlterOp::Subtract,
    ];
    for (id, op) in (0..).zip(ops) {
        assert_eq!(AlterOp::from_id(id), Some(op));
    }
    assert_eq!(AlterOp::from_id(4), None);
    assert_eq!(AlterOp::from_id(-1), None);
}
