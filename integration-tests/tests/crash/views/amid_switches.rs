//! A view that is killed amid a switch to another snapshot: behind each thing that it tells of it, until what
//! was dropped has been saved.

use std::os::unix::process::ExitStatusExt;

use super::Steps;
use super::site::{Site, check_served};

/// So many steps from a switch on are tried: the segments of two partitions, and the commits with which those of
/// two tasks go from the changelogs, come within them.
const TRIED: u64 = 10;
/// So often are records written until it is killed: it commits, and so goes on, as long as there are some.
const MOST_WRITES: usize = 2_000;

/// What a view has to be killed behind at least once.
const PLACES: [&str; 4] = [
    "a snapshot is read with",
    "segments are dropped",
    "changes are in the changelogs",
    "offsets are committed",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_view_that_is_killed_amid_a_switch_answers_exactly_afterwards() {
    let mut site = Site::start().await;
    let mut steps = Steps::of("views::amid_switches");
    let mut places = Vec::new();
    // So that there are snapshots in front of the one that is switched to, which nobody needs.
    site.write().await;
    for _ in 0..2 {
        site.check_successor().await;
    }
    while steps.next <= TRIED {
        let mut mortal = site.launch("switch", steps.next);
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
        let (status, said) = mortal.ended();
        assert_eq!(status.signal(), Some(9), "{said}");
        eprint!("{said}");
        places.push(said);
        site.check_successor().await;
        if !steps.go_on(true) {
            break;
        }
    }
    for place in PLACES.iter().filter(|_| !steps.only) {
        let killed = places.iter().any(|said| said.contains(place));
        assert!(killed, "never killed behind {place:?}: {places:?}");
    }
    site.broker.shutdown().await.expect("it ends");
}
