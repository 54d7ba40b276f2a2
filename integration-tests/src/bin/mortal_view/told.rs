//! What a view tells of its work, and dies behind.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use crate::steps::die;

/// Where that is told which counts.
const TARGETS: [&str; 2] = [
    "tidemark_streams::serving::merged",
    "tidemark_streams::runtime::commit",
];
/// A switch begins with it.
const SWITCHED: &str = "a snapshot is read with";

/// Dies behind something that is told: the first switch, which it begins with, does not count, nor what is in
/// front of the second one.
pub(crate) struct Told {
    text: String,
    deadly: u64,
    switches: AtomicU64,
    count: AtomicU64,
}

impl Told {
    pub(crate) fn new(text: &str, deadly: u64) -> Self {
        Self {
            text: text.to_owned(),
            deadly,
            switches: AtomicU64::new(0),
            count: AtomicU64::new(0),
        }
    }
}

/// The text of an event.
#[derive(Default)]
struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}

impl Subscriber for Told {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && TARGETS.contains(&metadata.target())
    }

    fn new_span(&self, _span: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _span: &Id, _values: &Record<'_>) {}

    fn record_follows_from(&self, _span: &Id, _follows: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut message = Message::default();
        event.record(&mut message);
        let switches = match &*message.0 {
            SWITCHED => self.switches.fetch_add(1, Ordering::SeqCst) + 1,
            _ => self.switches.load(Ordering::SeqCst),
        };
        if switches < 2 || message.0 != self.text {
            return;
        }
        if self.count.fetch_add(1, Ordering::SeqCst) + 1 == self.deadly {
            die(&format!("behind {}#{}", self.text, self.deadly));
        }
    }

    fn enter(&self, _span: &Id) {}

    fn exit(&self, _span: &Id) {}
}
