//! Up to where a changelog is not wanted any more.

use std::collections::VecDeque;

use crate::state::Expiry;

/// More would only tell more finely what can be deleted.
const MOST: usize = 64;

/// What commits have said of one store's changelog.
#[derive(Debug, Default)]
pub(crate) struct Spent {
    /// How far the store has to come, and the offset of its changelog below which nothing is wanted
    /// then.
    noted: VecDeque<(i64, i64)>,
}

impl Spent {
    /// Notes what a store was like at a commit, with everything up to `end` in its changelog; gives the
    /// offset below which nothing is wanted any more, if there is a new one. It goes by what has been
    /// committed and by nothing that came since: that is done again after a crash.
    pub(crate) fn note(&mut self, expiry: Expiry, end: i64) -> Option<i64> {
        let full = self.noted.len() >= MOST;
        match self.noted.back_mut() {
            Some((last, upto)) if *last >= expiry.last || full => {
                (*last, *upto) = (expiry.last.max(*last), end);
            }
            _ => self.noted.push_back((expiry.last, end)),
        }
        let mut spent = None;
        while let Some((_, end)) = self.noted.pop_front_if(|(last, _)| *last <= expiry.now) {
            spent = Some(end);
        }
        spent.filter(|end| *end > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// However many commits there are, what is deleted is old enough, and what is old is deleted.
    #[test]
    fn little_is_kept_and_nothing_too_much_is_deleted() {
        let (mut spent, mut cut) = (Spent::default(), 0);
        for commit in 0..10_000 {
            // Each commit brings ten records, which are wanted for another thousand commits.
            let expiry = Expiry {
                now: commit,
                last: commit + 1000,
            };
            if let Some(end) = spent.note(expiry, (commit + 1) * 10) {
                assert!(
                    end > cut && end <= (commit - 1000 + 1) * 10,
                    "{commit}: {end}"
                );
                cut = end;
            }
            assert!(spent.noted.len() <= MOST);
            assert!((commit + 1) * 10 - cut <= 25_000, "{commit}: {cut}");
        }
    }
}
