//! What a view tells of its work, each of which is a step: from the first time on that it reads with a snapshot
//! that was made after it had begun to.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use crate::steps::Steps;

/// Where that is told which counts.
const TARGETS: [&str; 2] = [
    "tidemark_streams::serving::merged",
    "tidemark_streams::runtime::commit",
];
/// A switch begins with it.
const SWITCHED: &str = "a snapshot is read with";

pub(crate) struct Told {
    steps: Arc<Steps>,
    switches: AtomicU64,
}

impl Told {
    pub(crate) fn new(steps: Arc<Steps>) -> Self {
        Self {
            steps,
            switches: AtomicU64::new(0),
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
        let before = match &*message.0 {
            SWITCHED => self.switches.fetch_add(1, Ordering::SeqCst) + 1,
            _ => self.switches.load(Ordering::SeqCst),
        };
        // The first one is what it begins with.
        if before > 1 {
            self.steps.behind(&message.0);
        }
    }

    fn enter(&self, _span: &Id) {}

    fn exit(&self, _span: &Id) {}
}
