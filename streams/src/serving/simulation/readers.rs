//! Whoever asks while records come, cuts are made and snapshots are switched to: on threads of their own, as
//! in a server.

use std::sync::atomic::{AtomicBool, Ordering};

use super::log::MemoryLog;
use super::world::{Instance, KEYS, World, exact, expected};
use crate::serving::Coverage;
use crate::serving::merged::{Ask, Keys};
use crate::serving::snapshot::Part;

/// So many worlds are gone through, ...
const WORLDS: u64 = 12;
/// ... in each of which so many things happen, ...
const STEPS: usize = 300;
/// ... while so many ask, ...
const READERS: u8 = 3;
/// ... each so often at least.
const QUESTIONS: usize = 200;

/// What is asked of.
struct Asked {
    site: Instance,
    log: MemoryLog,
    parts: Vec<Part>,
}

/// What one of those has seen who ask.
#[derive(Default)]
struct Session {
    /// What the last answer covered: the next one covers no less.
    covered: Coverage,
    snapshot: Option<u64>,
    questions: usize,
    /// How often the snapshot was another one than before.
    switches: usize,
}

impl Session {
    fn saw(&mut self, coverage: Coverage, snapshot: Option<u64>) {
        assert!(
            coverage.includes(&self.covered) && snapshot >= self.snapshot,
            "{coverage} of {snapshot:?} after {} of {:?}",
            self.covered,
            self.snapshot
        );
        self.switches += usize::from(snapshot != self.snapshot);
        (self.covered, self.snapshot) = (coverage, snapshot);
        self.questions += 1;
    }

    fn key(&mut self, of: &Asked, key: u8) {
        let merged = of.site.get(&[key], &Ask::default()).unwrap();
        let is_exact = exact(&of.site, &of.log, &of.parts, key, &merged);
        assert!(is_exact, "key {key}: {merged:?}");
        self.saw(merged.coverage, merged.snapshot);
    }

    fn all(&mut self, of: &Asked) {
        let page = of
            .site
            .range(&Keys::all(), usize::from(KEYS), &Ask::default());
        let page = page.unwrap();
        let about = page.about;
        let free = of.site.view.aggregate();
        let rows = page.rows.into_iter();
        let rows: Vec<_> = rows
            .map(|(name, merged)| (name, merged.whole(free).unwrap().0))
            .collect();
        let wanted = (0..KEYS).map(|key| {
            let own = expected(&of.log, &of.parts, key, &about.begin, &about.coverage);
            (vec![key], own)
        });
        let wanted: Vec<_> = wanted.filter(|(_, own)| !own.is_empty()).collect();
        assert_eq!(rows, wanted);
        self.saw(about.coverage, about.snapshot);
    }
}

/// Lets those who ask come to an end, also where the world does by a panic.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

#[test]
fn answers_amid_switches_are_exact_and_never_go_back() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .build()
        .unwrap();
    let mut switches = 0;
    for seed in 0..WORLDS {
        // Seen if it fails.
        eprintln!("world {seed}");
        let mut world = World::new(seed);
        let asked = Asked {
            site: world.first(),
            log: world.log.as_ref().clone(),
            parts: world.parts.to_vec(),
        };
        let done = AtomicBool::new(false);
        let ask = |number: u8| {
            let mut session = Session::default();
            while !done.load(Ordering::Acquire) || session.questions < QUESTIONS {
                session.key(&asked, number);
                session.all(&asked);
            }
            session.switches
        };
        let ask = &ask;
        switches += std::thread::scope(|scope| {
            let readers = (0..READERS).map(|number| scope.spawn(move || ask(number)));
            let readers: Vec<_> = readers.collect();
            let end = End(&done);
            runtime.block_on(world.go_on(STEPS));
            drop(end);
            let readers = readers.into_iter();
            readers.map(|one| one.join().unwrap()).sum::<usize>()
        });
    }
    assert!(switches as u64 > WORLDS * u64::from(READERS), "{switches}");
}
