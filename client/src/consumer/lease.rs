//! Until when a member certainly is one.

use std::sync::Arc;

use tokio::sync::watch;

use crate::clock::Now;

/// A stay in a group: from when the coordinator has taken a member in to when the group goes on without
/// it. Made by [`super::Consumer::lease`]; clones are the same one.
///
/// It holds while the last request by which the coordinator has confirmed the member was sent less than
/// nine tenths of the session timeout ago: until then nobody else can have been given the member's
/// partitions. The last tenth is for what has been sent and has not arrived. When it does not hold it
/// may hold again; when it is over it is so for good, and the next stay has another one.
///
/// A producer with a lease ([`crate::producer::ProducerConfig::lease`]) writes only while it holds. So a
/// process that was stopped, or was too busy to tell that it lives, does not write what somebody
/// else writes by then. Time is the client's clock: the machine's monotonic clock, and its wall clock,
/// too, since the former stands still while a machine is suspended.
#[derive(Clone, Debug)]
pub struct Lease {
    word: Arc<watch::Sender<Word>>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Word {
    Until(Now),
    Over,
}

impl Lease {
    /// One that does not hold yet.
    pub(crate) fn new() -> Self {
        Self {
            word: Arc::new(watch::Sender::new(Word::Until(Now::default()))),
        }
    }

    /// Confirmed by a request that was sent at that moment, for so many milliseconds.
    pub(crate) fn extend(&self, sent: Now, millis: u64) {
        let until = Now {
            millis: sent.millis.saturating_add(millis),
            wall: sent.wall.saturating_add_unsigned(millis),
        };
        self.word.send_if_modified(|word| match word {
            Word::Until(known) if known.millis < until.millis => {
                *known = until;
                true
            }
            _ => false,
        });
    }

    pub(crate) fn end(&self) {
        self.word.send_replace(Word::Over);
    }

    /// Whether nobody else can have what the member has.
    pub(crate) fn holds(&self, now: Now) -> bool {
        match *self.word.borrow() {
            Word::Until(until) => now.millis < until.millis && now.wall < until.wall,
            Word::Over => false,
        }
    }

    /// Told of every change.
    pub(crate) fn changes(&self) -> watch::Receiver<Word> {
        self.word.subscribe()
    }

    /// Whether the group has gone on without the member, or the member has left: for good.
    #[must_use]
    pub fn is_over(&self) -> bool {
        matches!(*self.word.borrow(), Word::Over)
    }

    /// Ends when it is over.
    pub async fn over(&self) {
        let mut changes = self.changes();
        if changes
            .wait_for(|word| matches!(word, Word::Over))
            .await
            .is_err()
        {
            std::future::pending().await
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64, wall: i64) -> Now {
        Now { millis, wall }
    }

    #[test]
    fn it_holds_by_both_clocks() {
        let lease = Lease::new();
        assert!(!lease.holds(at(0, 0)));
        lease.extend(at(100, 5000), 50);
        assert!(lease.holds(at(149, 5049)));
        assert!(!lease.holds(at(150, 5000)));
        // The machine was suspended.
        assert!(!lease.holds(at(110, 9000)));
        // An older word takes nothing back.
        lease.extend(at(90, 4990), 50);
        assert!(lease.holds(at(149, 5049)));
        assert!(!lease.is_over());
        lease.end();
        lease.extend(at(200, 6000), 50);
        assert!(lease.is_over() && !lease.holds(at(200, 6000)));
    }
}
