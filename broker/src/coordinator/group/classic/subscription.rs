//! The topics that the members of a consumer group subscribe to.
//!
//! Members' metadata is opaque to the coordinator, except that protocol type `consumer` has a
//! known form (`ConsumerProtocolSubscription.json`): a version, then an array of topic names,
//! which every version starts with. Offsets of subscribed topics are neither deleted nor expired.

use std::collections::BTreeSet;

use super::super::records::cursor::{Cursor, ReadError};
use super::Group;

/// The topics that `group` consumes; `None` when its members do not say so in a readable way.
pub(super) fn topics_of(group: &Group) -> Option<BTreeSet<String>> {
    if !group.is_consumer_group() {
        return None;
    }
    if group.members.is_empty() {
        return Some(BTreeSet::new());
    }
    let protocol = group.protocol_name.as_deref()?;
    let mut topics = BTreeSet::new();
    for member in group.members() {
        topics.extend(subscription_topics(&member.metadata(Some(protocol))).ok()?);
    }
    Some(topics)
}

/// The topic names at the start of a subscription.
fn subscription_topics(metadata: &[u8]) -> Result<Vec<String>, ReadError> {
    let mut cursor = Cursor::new(metadata, false);
    let version = cursor.i16()?;
    if version < 0 {
        return Err(ReadError::Invalid("version"));
    }
    let topics = cursor.array(|cursor| cursor.string().map(|topic| topic.to_string()))?;
    // Version 0 ends with the user data; a subscription that lacks it is not one.
    cursor.nullable_bytes()?;
    Ok(topics)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(metadata: &[u8], expected: Option<&[&str]>) {
        let topics = subscription_topics(metadata).ok();
        let expected = expected.map(|names| names.iter().map(ToString::to_string).collect());
        assert_eq!(topics, expected, "{metadata:02x?}");
    }

    #[test]
    fn reads_the_prefix_that_all_versions_share() {
        check(b"\0\0\0\0\0\0\xff\xff\xff\xff", Some(&[]));
        check(b"\0\0\0\0\0\x02\0\x01a\0\x02bc\0\0\0\0", Some(&["a", "bc"]));
        // Version 3 goes on with owned partitions, a generation and a rack.
        check(
            b"\0\x03\0\0\0\x01\0\x01a\xff\xff\xff\xff\0\0\0\0\xff\xff\xff\xff\xff\xff",
            Some(&["a"]),
        );
        // A version from the future still starts like this.
        check(b"\0\x63\0\0\0\x01\0\x01a\xff\xff\xff\xff", Some(&["a"]));
    }

    #[test]
    fn refuses_what_is_no_subscription() {
        check(b"", None);
        check(b"\0", None);
        check(b"\xff\xff\0\0\0\0\xff\xff\xff\xff", None);
        check(b"\0\0\0\0\0\x01", None);
        check(b"\0\0\x7f\xff\xff\xff\0\x01a\0\0\0\0", None);
        check(b"\0\0\0\0\0\x01\0\x05a\0\0\0\0", None);
        check(b"\0\0\0\0\0\x01\0\x01\xff\0\0\0\0", None);
        check(b"\0\0\0\0\0\x01\0\x01a", None);
    }
}
