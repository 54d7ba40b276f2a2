//! Kills the broker at a chosen moment.

use std::sync::Mutex;

use rustix::process::{Pid, Signal, kill_process};

/// When.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// Before the broker has said that it is ready, after so many looks: while it recovers.
    Starting(usize),
    /// When so many records have been acknowledged in this round; 0 is at once.
    Delivered(usize),
    /// When so many commits have succeeded in this round.
    Committed(usize),
    /// After so many steps of making a topic anew.
    Renewed(usize),
}

/// Counts what happens and kills when the moment has come.
#[derive(Default)]
pub(crate) struct Trigger(Mutex<Option<Armed>>);

struct Armed {
    moment: Moment,
    broker: Pid,
}

impl Trigger {
    /// Chooses the moment of a round.
    pub(crate) fn arm(&self, moment: Moment, broker: Pid) {
        *self.0.lock().expect("nobody panics with it") = Some(Armed { moment, broker });
        self.fire_if_due();
    }

    /// Whether the moment is still to come.
    pub(crate) fn is_armed(&self) -> bool {
        self.0.lock().expect("nobody panics with it").is_some()
    }

    /// A record has been acknowledged.
    pub(crate) fn delivered(&self) {
        self.count(|moment| match moment {
            Moment::Delivered(left) => Moment::Delivered(left.saturating_sub(1)),
            other => other,
        });
    }

    /// A commit has succeeded.
    pub(crate) fn committed(&self) {
        self.count(|moment| match moment {
            Moment::Committed(left) => Moment::Committed(left.saturating_sub(1)),
            other => other,
        });
    }

    /// A step has been done of making a topic anew.
    pub(crate) fn renewed(&self) {
        self.count(|moment| match moment {
            Moment::Renewed(left) => Moment::Renewed(left.saturating_sub(1)),
            other => other,
        });
    }

    fn count(&self, step: impl Fn(Moment) -> Moment) {
        if let Some(armed) = self.0.lock().expect("nobody panics with it").as_mut() {
            armed.moment = step(armed.moment);
        }
        self.fire_if_due();
    }

    fn fire_if_due(&self) {
        let mut armed = self.0.lock().expect("nobody panics with it");
        let due = |armed: &mut Armed| {
            matches!(
                armed.moment,
                Moment::Delivered(0) | Moment::Committed(0) | Moment::Renewed(0)
            )
        };
        if let Some(Armed { broker, .. }) = armed.take_if(due) {
            kill_process(broker, Signal::KILL).expect("the broker runs");
        }
    }
}
