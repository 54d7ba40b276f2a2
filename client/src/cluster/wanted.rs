//! Which topics the picture is to hold, and what is to be asked for next.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::metadata::Scope;

/// All interest in topics.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    topics: BTreeMap<Arc<str>, Interest>,
    /// Names that have not been asked for yet.
    new: BTreeSet<Arc<str>>,
    /// How many users want to know of all topics: those that subscribe by a pattern.
    all: usize,
    /// All of the picture is to be asked for.
    whole: bool,
}

#[derive(Debug, Default)]
struct Interest {
    /// How many hold it, however long they do not use it.
    holders: usize,
    /// When it was used last by others, in clock milliseconds.
    used: Option<u64>,
}

/// What is to be asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Question {
    pub(super) scope: Scope,
    /// The topics by name. With [`Scope::All`] these are asked for only if the answer does not have
    /// them: it makes no topics, and has no errors.
    pub(super) names: Vec<Arc<str>>,
    /// Further ones with [`Scope::All`], that nobody has asked for anew: if they are not there, they
    /// have been deleted, and asking is not to make them again.
    pub(super) known: Vec<Arc<str>>,
}

impl Wanted {
    /// Whether there is something to ask for.
    pub(super) fn is_due(&self) -> bool {
        self.whole || !self.new.is_empty()
    }

    /// All is to be asked for anew.
    pub(super) fn refresh(&mut self) {
        self.whole = true;
    }

    /// Somebody uses the topic now. Gives whether it is to be asked for.
    pub(super) fn touch(&mut self, topic: &Arc<str>, now: u64) -> bool {
        let interest = self.interest(topic);
        interest.used = interest.used.max(Some(now));
        self.new.contains(topic)
    }

    /// One more holds the topic. Gives whether it is to be asked for.
    pub(super) fn hold(&mut self, topic: &Arc<str>) -> bool {
        self.interest(topic).holders += 1;
        self.new.contains(topic)
    }

    /// Somebody does not hold the topic any more.
    pub(super) fn release(&mut self, topic: &Arc<str>) {
        if let Some(interest) = self.topics.get_mut(topic) {
            interest.holders = interest.holders.saturating_sub(1);
        }
    }

    /// One more wants to know of all topics.
    pub(super) fn want_all(&mut self) {
        self.all += 1;
        self.whole = true;
    }

    /// One less does.
    pub(super) fn release_all(&mut self) {
        self.all = self.all.saturating_sub(1);
    }

    /// Takes the next question out. Topics that nobody holds, nor has used for `max_idle` milliseconds,
    /// are not asked for any more: asking might make one again that was deleted.
    pub(super) fn question(&mut self, now: u64, max_idle: u64) -> Question {
        let new = std::mem::take(&mut self.new);
        if !std::mem::take(&mut self.whole) {
            return Question {
                scope: Scope::Asked,
                names: new.into_iter().collect(),
                known: Vec::new(),
            };
        }
        let fresh = |used: u64| used.saturating_add(max_idle) > now;
        self.topics.retain(|name, interest| {
            interest.holders > 0 || interest.used.is_some_and(fresh) || new.contains(name)
        });
        let all = self.all > 0;
        let (names, known): (Vec<_>, Vec<_>) = self.topics.iter().partition(|(name, interest)| {
            !all || new.contains(*name) || interest.used.is_some_and(fresh)
        });
        let list = |topics: Vec<(&Arc<str>, &Interest)>| {
            let names = topics.into_iter().map(|(name, _)| Arc::clone(name));
            names.collect()
        };
        Question {
            scope: if all { Scope::All } else { Scope::Wanted },
            names: list(names),
            known: list(known),
        }
    }

    /// A question has got no answer.
    pub(super) fn unanswered(&mut self, question: Question) {
        match question.scope {
            Scope::All | Scope::Wanted => self.whole = true,
            Scope::Asked => self.new.extend(question.names),
        }
    }

    fn interest(&mut self, topic: &Arc<str>) -> &mut Interest {
        if !self.topics.contains_key(topic) {
            self.new.insert(Arc::clone(topic));
        }
        self.topics.entry(Arc::clone(topic)).or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(name: &str) -> Arc<str> {
        name.into()
    }

    #[track_caller]
    fn asks(wanted: &mut Wanted, now: u64, scope: Scope, names: &[&str], known: &[&str]) {
        assert!(wanted.is_due());
        let question = wanted.question(now, 100);
        let found: Vec<&str> = question.names.iter().map(|name| &**name).collect();
        let known_found: Vec<&str> = question.known.iter().map(|name| &**name).collect();
        assert_eq!(
            (question.scope, &*found, &*known_found),
            (scope, names, known)
        );
        assert!(!wanted.is_due());
    }

    #[test]
    fn a_new_topic_is_asked_for_alone() {
        let mut wanted = Wanted::default();
        assert!(!wanted.is_due());
        assert!(wanted.touch(&name("a"), 0));
        asks(&mut wanted, 0, Scope::Asked, &["a"], &[]);
        assert!(!wanted.touch(&name("a"), 1));
        assert!(wanted.touch(&name("b"), 1));
        assert!(wanted.hold(&name("c")));
        asks(&mut wanted, 1, Scope::Asked, &["b", "c"], &[]);
        wanted.refresh();
        asks(&mut wanted, 2, Scope::Wanted, &["a", "b", "c"], &[]);
    }

    #[test]
    fn what_is_not_used_is_forgotten_and_what_is_held_is_not() {
        let mut wanted = Wanted::default();
        for topic in ["held", "twice"] {
            wanted.hold(&name(topic));
        }
        wanted.hold(&name("twice"));
        for topic in ["idle", "used"] {
            wanted.touch(&name(topic), 0);
        }
        wanted.touch(&name("used"), 1);
        wanted.release(&name("twice"));
        wanted.question(0, 100);
        wanted.refresh();
        let all = ["held", "idle", "twice", "used"];
        asks(&mut wanted, 99, Scope::Wanted, &all, &[]);
        wanted.refresh();
        let held = ["held", "twice", "used"];
        asks(&mut wanted, 100, Scope::Wanted, &held, &[]);
        wanted.release(&name("twice"));
        wanted.refresh();
        asks(&mut wanted, 101, Scope::Wanted, &["held"], &[]);
        // Whoever uses it again has to ask again.
        assert!(wanted.touch(&name("idle"), 102));
        asks(&mut wanted, 102, Scope::Asked, &["idle"], &[]);
    }

    #[test]
    fn with_all_topics_those_that_may_be_missing_are_named() {
        let mut wanted = Wanted::default();
        wanted.hold(&name("matched"));
        wanted.question(0, 100);
        wanted.want_all();
        wanted.touch(&name("sent"), 0);
        wanted.hold(&name("subscribed"));
        let names = ["sent", "subscribed"];
        asks(&mut wanted, 0, Scope::All, &names, &["matched"]);
        // From now on it is only if it has been deleted that it is missing.
        wanted.refresh();
        let known = ["matched", "subscribed"];
        asks(&mut wanted, 1, Scope::All, &["sent"], &known);
        wanted.touch(&name("new"), 2);
        asks(&mut wanted, 2, Scope::Asked, &["new"], &[]);
        wanted.release_all();
        wanted.refresh();
        let names = ["matched", "new", "sent", "subscribed"];
        asks(&mut wanted, 3, Scope::Wanted, &names, &[]);
    }

    #[test]
    fn what_was_not_answered_is_asked_again() {
        let mut wanted = Wanted::default();
        wanted.touch(&name("a"), 0);
        let question = wanted.question(0, 100);
        wanted.touch(&name("b"), 0);
        wanted.unanswered(question);
        assert!(wanted.touch(&name("a"), 0));
        asks(&mut wanted, 0, Scope::Asked, &["a", "b"], &[]);
        wanted.refresh();
        let question = wanted.question(0, 100);
        wanted.unanswered(question);
        asks(&mut wanted, 0, Scope::Wanted, &["a", "b"], &[]);
    }
}
