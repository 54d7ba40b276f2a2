//! Records on their way in.

use std::sync::Arc;

use bytes::Bytes;

/// A record to be written (Kafka: `ProducerRecord`).
///
/// ```
/// use tidemark_client::producer::ProducerRecord;
/// let record = ProducerRecord::to("events").key("user1").value("login").header("trace", "7f");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProducerRecord {
    pub(super) topic: Arc<str>,
    pub(super) partition: Option<i32>,
    pub(super) key: Option<Bytes>,
    pub(super) value: Option<Bytes>,
    pub(super) headers: Vec<(Bytes, Option<Bytes>)>,
    pub(super) timestamp: Option<i64>,
}

impl ProducerRecord {
    /// A record for this topic, without key, value and headers.
    #[must_use]
    pub fn to(topic: impl Into<Arc<str>>) -> Self {
        Self {
            topic: topic.into(),
            partition: None,
            key: None,
            value: None,
            headers: Vec::new(),
            timestamp: None,
        }
    }

    /// The key: records of one key go to one partition. Default: null.
    #[must_use]
    pub fn key(mut self, key: impl Into<Bytes>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// The value. Default: null, a tombstone on compacted topics.
    #[must_use]
    pub fn value(mut self, value: impl Into<Bytes>) -> Self {
        self.value = Some(value.into());
        self
    }

    /// One more header (KIP-82). A key may come more than once.
    #[must_use]
    pub fn header(mut self, key: impl Into<Bytes>, value: impl Into<Bytes>) -> Self {
        self.headers.push((key.into(), Some(value.into())));
        self
    }

    /// One more header whose value is null.
    #[must_use]
    pub fn null_header(mut self, key: impl Into<Bytes>) -> Self {
        self.headers.push((key.into(), None));
        self
    }

    /// The partition. Default: the partitioner chooses.
    #[must_use]
    pub fn partition(mut self, partition: i32) -> Self {
        self.partition = Some(partition);
        self
    }

    /// The timestamp, in milliseconds since 1970 (UTC) (KIP-32). Default: now. On topics with
    /// LogAppendTime the broker's counts.
    #[must_use]
    pub fn timestamp(mut self, millis: i64) -> Self {
        self.timestamp = Some(millis);
        self
    }

    pub(super) fn header_slices(&self) -> Vec<(&[u8], Option<&[u8]>)> {
        let headers = self.headers.iter();
        headers
            .map(|(key, value)| (&key[..], value.as_deref()))
            .collect()
    }

    pub(super) fn parts<'a>(
        &'a self,
        headers: &'a [(&'a [u8], Option<&'a [u8]>)],
    ) -> RecordParts<'a> {
        RecordParts {
            partition: self.partition,
            key: self.key.as_deref(),
            value: self.value.as_deref(),
            headers,
            timestamp: self.timestamp,
        }
    }
}

/// A record that is borrowed, for [`super::Producer::send_counted`] and
/// [`super::Producer::try_send`]: it is copied into its batch at once, and nothing else is kept of
/// it.
#[derive(Clone, Copy, Debug, Default)]
pub struct RecordParts<'a> {
    /// The partition; `None` leaves it to the partitioner.
    pub partition: Option<i32>,
    /// The key; `None` is null.
    pub key: Option<&'a [u8]>,
    /// The value; `None` is null.
    pub value: Option<&'a [u8]>,
    /// Keys and values of headers; a null value is `None`.
    pub headers: &'a [(&'a [u8], Option<&'a [u8]>)],
    /// Milliseconds since 1970 (UTC); `None` is now.
    pub timestamp: Option<i64>,
}

/// The most bytes that a record takes beyond its key, value and headers: the varints of its length,
/// timestamp, offset, three lengths, and its attributes.
const RECORD_OVERHEAD: usize = 5 + 1 + 10 + 5 + 5 + 5 + 5;
/// The same for each header: two varints.
const HEADER_OVERHEAD: usize = 10;

impl RecordParts<'_> {
    /// The most bytes that the record can take in a batch.
    #[inline]
    pub(super) fn size(&self) -> usize {
        let headers: usize = self
            .headers
            .iter()
            .map(|(key, value)| key.len() + value.map_or(0, <[u8]>::len) + HEADER_OVERHEAD)
            .sum();
        let key = self.key.map_or(0, <[u8]>::len);
        let value = self.value.map_or(0, <[u8]>::len);
        key + value + headers + RECORD_OVERHEAD
    }
}
