//! Which topic names are legal (Kafka's `Topic`).

/// The longest legal name, so that a directory name with partition and suffix fits a file system.
pub const MAX_LENGTH: usize = 249;

/// The topic of the groups' offsets.
pub const GROUP_METADATA: &str = "__consumer_offsets";
/// The topic of the transactions' states.
pub const TRANSACTION_STATE: &str = "__transaction_state";
/// The topic of the share groups' states, which a data directory of Kafka's may have.
pub const SHARE_GROUP_STATE: &str = "__share_group_state";
/// The catalog's own log; not a topic that a client may create.
pub const CLUSTER_METADATA: &str = "__cluster_metadata";

/// Checks a name. The error says why in the words that Kafka's clients know: between 1 and 249 of
/// `a-z A-Z 0-9 . _ -`, and not `.` or `..`, which name directories.
pub fn validate(name: &str) -> Result<(), String> {
    match fault(name) {
        None => Ok(()),
        Some(fault) => Err(format!("Topic name is invalid: {fault}")),
    }
}

/// Whether [`validate`] finds nothing.
pub fn is_valid(name: &str) -> bool {
    fault(name).is_none()
}

/// Whether brokers keep their own records in this topic.
pub fn is_internal(name: &str) -> bool {
    [GROUP_METADATA, TRANSACTION_STATE, SHARE_GROUP_STATE].contains(&name)
}

/// Whether the name has a character that metrics cannot tell from another: `.` or `_`.
pub fn has_collision_chars(name: &str) -> bool {
    name.contains(['.', '_'])
}

/// The form in which colliding names are equal: `.` becomes `_`.
pub fn collision_form(name: &str) -> String {
    name.replace('.', "_")
}

fn fault(name: &str) -> Option<String> {
    if name.is_empty() {
        return Some("the empty string is not allowed".to_owned());
    }
    if name == "." || name == ".." {
        return Some(format!("'{name}' is not allowed"));
    }
    // Kafka counts UTF-16 units; for legal names they are bytes, and it only matters which of two
    // faults is told.
    if name.encode_utf16().count() > MAX_LENGTH {
        return Some(format!(
            "the length of '{name}' is longer than the max allowed length {MAX_LENGTH}"
        ));
    }
    if !name.bytes().all(is_legal) {
        return Some(format!(
            "'{name}' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'"
        ));
    }
    None
}

fn is_legal(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rule_63_names_are_up_to_249_legal_characters() {
        let longest = "x".repeat(249);
        for good in [
            "a",
            "A-9",
            "a.b_c",
            "...",
            "__consumer_offsets",
            "-",
            &longest,
        ] {
            assert_eq!(validate(good), Ok(()), "{good}");
            assert!(is_valid(good));
        }
        let check = |name: &str, why: &str| {
            assert_eq!(validate(name), Err(format!("Topic name is invalid: {why}")));
            assert!(!is_valid(name));
        };
        check("", "the empty string is not allowed");
        check(".", "'.' is not allowed");
        check("..", "'..' is not allowed");
        let long = "x".repeat(250);
        check(
            &long,
            &format!("the length of '{long}' is longer than the max allowed length 249"),
        );
        for bad in ["a b", "a/b", "ä", "a\0", "a:b", "a+b", "日本"] {
            check(
                bad,
                &format!(
                    "'{bad}' contains one or more characters other than ASCII alphanumerics, \
                     '.', '_' and '-'"
                ),
            );
        }
    }

    #[test]
    fn rule_63_the_length_counts_utf16_units_as_clients_do() {
        // 124 characters outside the basic plane are 248 units and 496 bytes.
        let name = "\u{1F600}".repeat(124);
        assert!(validate(&name).is_err_and(|why| why.contains("other than ASCII")));
        let name = "\u{1F600}".repeat(125);
        assert!(validate(&name).is_err_and(|why| why.contains("longer than")));
    }

    #[test]
    fn rule_63_dots_and_underscores_collide() {
        let check = |a: &str, b: &str, expected: bool| {
            assert_eq!(collision_form(a) == collision_form(b), expected, "{a} {b}");
        };
        check("a.b", "a_b", true);
        check("a.b.c", "a_b.c", true);
        check("a.b", "a-b", false);
        check("a.b", "ab", false);
        assert!(has_collision_chars("a.b"));
        assert!(has_collision_chars("a_b"));
        assert!(!has_collision_chars("a-b"));
    }

    #[test]
    fn the_brokers_own_topics_are_internal() {
        assert!(is_internal("__consumer_offsets"));
        assert!(is_internal("__transaction_state"));
        assert!(is_internal("__share_group_state"));
        assert!(!is_internal("__cluster_metadata"));
        assert!(!is_internal("orders"));
    }
}
