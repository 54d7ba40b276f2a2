//! Late records whose values have bytes of their own.

use std::sync::Arc;

use super::Stream;
use crate::operator::stateless::Stateless;
use crate::record::Record;
use crate::record::late::{Late, LateReason};
use crate::topology::{Edge, Make, Node, NodeKind};

impl<K, V> Stream<K, Late<V>>
where
    K: Clone + Send + 'static,
    V: Clone + Send + 'static,
{
    /// The late records as they came, with what [`Late`] says of them in headers. `Late` itself is
    /// written as JSON, so its value has to be serde's; here it is any type with bytes of its own.
    ///
    /// The headers are decimal numbers, `tidemark.late.window.start`, `tidemark.late.window.end`,
    /// `tidemark.late.windows`, `tidemark.late.watermark`, `tidemark.late.by` (milliseconds), and the
    /// words `tidemark.late.reason` (`window_closed`, `grace_over` or `history_over`) and `tidemark.late.taken` (`true`
    /// if another window took the record).
    #[must_use]
    pub fn in_headers(&self) -> Stream<K, V> {
        let make = Make::Operator(Arc::new(|_| {
            Box::new(Stateless::new(Arc::new(
                |row: Record<K, Late<V>>, out: &mut Vec<Record<K, V>>| out.push(told_by(row)),
            )))
        }));
        let new = Node::new("in_headers", NodeKind::Stateless { table: false }, make);
        let node = self.plan.add(new.input(self.from).output::<K, V>());
        Stream::new(self.plan.clone(), Edge { node, port: 0 }).with_key_changed(self.key_changed)
    }
}

fn told_by<K, V>(row: Record<K, Late<V>>) -> Record<K, V> {
    let Late {
        value,
        window,
        windows,
        watermark,
        lateness,
        reason,
        taken,
    } = row.value;
    let mut headers = row.headers;
    let mut tell = |what: &'static str, text: String| headers.add(what, text);
    tell("tidemark.late.window.start", window.start.to_string());
    tell("tidemark.late.window.end", window.end.to_string());
    tell("tidemark.late.windows", windows.to_string());
    tell("tidemark.late.watermark", watermark.to_string());
    tell("tidemark.late.by", lateness.to_string());
    let reason = match reason {
        LateReason::WindowClosed => "window_closed",
        LateReason::GraceOver => "grace_over",
        LateReason::HistoryOver => "history_over",
    };
    tell("tidemark.late.reason", reason.to_owned());
    tell("tidemark.late.taken", taken.to_string());
    Record {
        key: row.key,
        value,
        timestamp: row.timestamp,
        headers,
        watermark: row.watermark,
    }
}
