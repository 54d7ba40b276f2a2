//! A view that is killed amid a switch to another snapshot: behind each thing that it does to read with it, and to
//! save that.

use super::site::{Site, check_served};

/// What it tells, and how often it has told it when it is killed. The segments of two partitions go, and with the
/// commits of their tasks they go from the changelogs.
const POINTS: [&str; 9] = [
    "a snapshot is read with#1",
    "segments are dropped#1",
    "segments are dropped#2",
    "changes are in the changelogs#1",
    "changes are in the changelogs#2",
    "changes are in the changelogs#3",
    "offsets are committed#1",
    "offsets are committed#2",
    "offsets are committed#3",
];
/// So often are records written until it is killed: it commits, and so goes on, as long as there are some. Some
/// thirty are enough where nothing else has the machine.
const MOST_WRITES: usize = 50_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_view_that_is_killed_amid_a_switch_answers_exactly_afterwards() {
    let mut site = Site::with_snapshots().await;
    for point in POINTS {
        let mut mortal = site.launch("serve", point);
        let address = mortal.address().expect("it serves");
        check_served(&site, &address);
        site.write().await;
        site.cut().await;
        assert!(!site.batch(0));
        for _ in 0..MOST_WRITES {
            if mortal.child.try_wait().expect("a child").is_some() {
                break;
            }
            site.write().await;
        }
        assert!(
            mortal.child.try_wait().expect("a child").is_some(),
            "{point}: it never came there"
        );
        let said = mortal.killed();
        assert!(said.contains(point), "{said}");
        site.check_successor().await;
    }
    site.end().await;
}
