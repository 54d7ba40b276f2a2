//! What to do after a failure, and when.

use tidemark_protocol::ErrorCode;

/// What helps against an error code before the same request is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Remedy {
    /// Nothing: the answer is final.
    Final,
    /// Time.
    Wait,
    /// Newer metadata: the partition is elsewhere, or was not known yet.
    RefreshMetadata,
    /// Another look for the coordinator.
    FindCoordinator,
}

/// The remedy against a code, as the Java client has it (the subclasses of `RetriableException`,
/// `RefreshRetriableException` and the coordinator's handlers).
pub(crate) fn remedy(code: ErrorCode) -> Remedy {
    match code {
        ErrorCode::UnknownTopicOrPartition
        | ErrorCode::UnknownTopicId
        | ErrorCode::InconsistentTopicId
        | ErrorCode::LeaderNotAvailable
        | ErrorCode::NotLeaderOrFollower
        | ErrorCode::FencedLeaderEpoch
        | ErrorCode::UnknownLeaderEpoch
        | ErrorCode::ReplicaNotAvailable
        | ErrorCode::ListenerNotFound
        | ErrorCode::KafkaStorageError
        | ErrorCode::OffsetNotAvailable
        | ErrorCode::NotController
        | ErrorCode::NetworkException => Remedy::RefreshMetadata,
        ErrorCode::CoordinatorNotAvailable | ErrorCode::NotCoordinator => Remedy::FindCoordinator,
        code if code.retriable() => Remedy::Wait,
        _ => Remedy::Final,
    }
}

/// Waiting times that grow from a first to a longest, each spread by a fifth so that clients which
/// failed together do not come back together (KIP-580).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Backoff {
    first: u64,
    longest: u64,
    attempts: u32,
}

impl Backoff {
    /// From `first` to `longest` milliseconds (`retry.backoff.ms`, `retry.backoff.max.ms`).
    pub(crate) fn new(first: u64, longest: u64) -> Self {
        Self {
            first,
            longest: longest.max(first),
            attempts: 0,
        }
    }

    /// The next waiting time in milliseconds, spread by a random number.
    pub(crate) fn next(&mut self, random: u64) -> u64 {
        let factor = 1_u64.checked_shl(self.attempts).unwrap_or(u64::MAX);
        self.attempts = self.attempts.saturating_add(1);
        let plain = self.first.saturating_mul(factor).min(self.longest);
        // Between 80 % and 120 %.
        let spread = plain / 5;
        plain - spread + random % (2 * spread + 1)
    }

    /// Starts again from the first.
    pub(crate) fn reset(&mut self) {
        self.attempts = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_twice_as_long_each_time_up_to_the_longest() {
        let mut backoff = Backoff::new(100, 1000);
        // A random number of a fifth of the plain time is its middle.
        let waits: Vec<u64> = [20, 40, 80, 160, 200, 200]
            .map(|middle| backoff.next(middle))
            .to_vec();
        assert_eq!(waits, [100, 200, 400, 800, 1000, 1000]);
        backoff.reset();
        assert_eq!(backoff.next(0), 80);
        assert_eq!(backoff.next(80), 240);
    }

    #[test]
    fn any_number_of_attempts_and_any_setting_is_bounded() {
        let mut backoff = Backoff::new(u64::MAX / 2, 5);
        for random in [0, 1, u64::MAX] {
            for _ in 0..100 {
                assert!(backoff.next(random) >= 1);
            }
        }
        let mut none = Backoff::new(0, 0);
        assert_eq!(none.next(u64::MAX), 0);
    }

    #[test]
    fn remedies() {
        let check = |code, expected| assert_eq!(remedy(code), expected, "{code}");
        check(ErrorCode::None, Remedy::Final);
        check(ErrorCode::NotLeaderOrFollower, Remedy::RefreshMetadata);
        check(ErrorCode::NotCoordinator, Remedy::FindCoordinator);
        check(ErrorCode::CoordinatorLoadInProgress, Remedy::Wait);
        check(ErrorCode::TopicAuthorizationFailed, Remedy::Final);
    }
}
