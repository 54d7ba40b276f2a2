//! How often what has happened: a schedule in which nothing happens proves nothing.

/// How often what has happened.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Seen {
    pub(super) answers: u64,
    pub(super) with_both: u64,
    pub(super) gaps: u64,
    pub(super) pages: u64,
    pub(super) switches: u64,
    pub(super) unfit: u64,
    pub(super) ahead: u64,
    pub(super) published: u64,
    pub(super) died: u64,
    pub(super) resumed: u64,
    pub(super) holes: u64,
    pub(super) crashes: u64,
    pub(super) lost_races: u64,
    pub(super) verified: u64,
}

impl Seen {
    pub(crate) fn add(&mut self, other: &Self) {
        self.answers += other.answers;
        self.with_both += other.with_both;
        self.gaps += other.gaps;
        self.pages += other.pages;
        self.switches += other.switches;
        self.unfit += other.unfit;
        self.ahead += other.ahead;
        self.published += other.published;
        self.died += other.died;
        self.resumed += other.resumed;
        self.holes += other.holes;
        self.crashes += other.crashes;
        self.lost_races += other.lost_races;
        self.verified += other.verified;
    }

    /// Each of it has happened, and often enough.
    pub(crate) fn check(&self, schedules: u64) {
        assert!(self.answers > schedules * 50, "{self:?}");
        assert!(self.with_both > schedules * 10, "{self:?}");
        assert!(self.answers > self.gaps * 10, "{self:?}");
        assert!(self.pages > schedules, "{self:?}");
        let each = [
            self.switches,
            self.unfit,
            self.ahead,
            self.published,
            self.died,
            self.resumed,
            self.holes,
            self.crashes,
            self.lost_races,
            self.verified,
        ];
        assert!(each.iter().all(|count| *count > schedules / 10), "{self:?}");
    }
}
