//! A view that is killed amid its work, while records are written: in front of what has been saved there is
//! always something that has been read, answered with, and lost.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use integration_tests::harness::http::get;
use integration_tests::harness::wait::until;
use integration_tests::places::NAME;
use integration_tests::rounds::Rounds;
use rand::RngExt;
use serde_json::Value;
use tidemark_client::Client;
use tidemark_client::admin::{GroupFilter, OffsetsOf};
use tidemark_streams::serving::Coverage;

use super::site::{Site, TOPIC, used, write_from};

/// How often it is killed.
const KILLS: usize = 12;
/// So seldom is nothing saved at all before it is killed.
const NEVER: Duration = Duration::from_secs(3_600);
/// What it answers may go back where it loses its place to another one, which has only what was saved: so it must
/// not be taken for dead because it, or this, is slow.
const SESSION: Duration = Duration::from_secs(60);

/// What an instance answers for all keys together: each record of its coverage once. How many that are;
/// `None` as long as it has not all partitions.
fn look(address: &str, covered: &mut Coverage) -> Option<i64> {
    let answer = get(address, &format!("/views/{NAME}/keys?limit=100"));
    assert!([200, 503].contains(&answer.status), "{answer:?}");
    if answer.status == 503 {
        return None;
    }
    let body: Value = serde_json::from_str(&answer.body).expect("JSON");
    let coverage: Coverage = body["coverage"].to_string().parse().expect("a coverage");
    assert!(coverage.includes(covered), "{covered}, then {coverage}");
    let mut found: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
    for place in body["rows"]
        .as_array()
        .expect("rows")
        .iter()
        .flat_map(|row| {
            let places = row["value"].as_array();
            places.expect("places")
        })
    {
        assert_eq!(place["count"], 1, "{body}");
        let number = |name: &str| place[name].as_i64().expect("a number");
        found
            .entry(number("partition"))
            .or_default()
            .push(number("offset"));
    }
    let mut count = 0;
    for (_, partition, to) in coverage.iter() {
        let mut offsets = found.remove(&i64::from(partition)).unwrap_or_default();
        offsets.sort_unstable();
        assert_eq!(
            offsets,
            (0..to).collect::<Vec<_>>(),
            "partition {partition}"
        );
        count += to;
    }
    assert!(found.is_empty(), "{body}");
    *covered = coverage;
    Some(count)
}

/// The group of the view's speed layer.
async fn group(client: &Client) -> Option<String> {
    let listed = client.admin().list_groups(GroupFilter::new()).await;
    let listed = listed.expect("an answer").all().expect("all groups");
    let mut groups = listed.into_values().flatten();
    groups
        .find(|group| group.id.starts_with(NAME))
        .map(|group| group.id)
}

/// How many records have been saved.
async fn saved(client: &Client, group: &str) -> i64 {
    let mut groups = client
        .admin()
        .group_offsets([(group, OffsetsOf::All)])
        .await
        .expect("an answer");
    let Some(Ok(offsets)) = groups.remove(group) else {
        return 0;
    };
    let own = offsets
        .into_iter()
        .filter(|(partition, _)| &*partition.topic == TOPIC);
    own.filter_map(|(_, offset)| Some(offset.expect("an offset")?.offset))
        .sum()
}

/// One life, which ends by SIGKILL when the view has answered with so many more records; whether it had
/// something that was not saved, and whether it had just taken up a snapshot.
async fn round(
    site: &mut Site,
    state: &Path,
    commit: Duration,
    count: usize,
    at: usize,
    batch: bool,
) -> (bool, bool) {
    let goal = (site.count + at) as i64;
    let writing = tokio::spawn({
        let (client, from) = (site.client.clone(), site.count);
        async move { write_from(&client, from, count).await }
    });
    let mut process = site.launch_with("serve", 0, state, [commit, SESSION]);
    let address = process.address().expect("it serves");
    let mut covered = Coverage::new();
    let mut read = until("it to work", || {
        look(&address, &mut covered).filter(|read| *read >= goal)
    });
    let mut switched = false;
    if batch {
        let before = used(&address);
        if commit < NEVER {
            site.cut_for_another().await;
        }
        site.batch(0);
        let snapshots = site.snapshots().numbers().await.expect("numbers");
        let newest = snapshots.last().copied();
        switched = before.is_some() && newest > before;
        until("the snapshot to be read with", || {
            (used(&address) == newest).then_some(())
        });
        read = look(&address, &mut covered).unwrap_or(read);
    }
    // SIGKILL.
    drop(process);
    let mut lost = true;
    if let Some(group) = group(&site.client).await {
        let admin = site.client.admin();
        // Who is gone without a word is a member until its session ends: the next one need not wait for that.
        let removed = admin.remove_all_members(&group, "it died").await;
        for (member, outcome) in removed.expect("the group is there") {
            outcome.unwrap_or_else(|error| panic!("{member:?}: {error}"));
        }
        lost = saved(&site.client, &group).await < read;
    }
    site.note(writing.await.expect("all is written"));
    (lost, switched)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_view_that_is_killed_amid_its_work_answers_exactly_afterwards() {
    let rounds = Rounds::from_environment("crash views::amid_work", KILLS);
    eprintln!("{}", rounds.replay());
    let mut random = rounds.random();
    let mut site = Site::start().await;
    let disk = site.dir.path().join("state");
    let (mut lost, mut switched) = (0, 0);
    for number in 0..rounds.count {
        let state = if number % 2 == 0 {
            disk.clone()
        } else {
            PathBuf::new()
        };
        let commit = match number % 3 {
            0 => NEVER,
            _ => Duration::from_millis(random.random_range(1..100)),
        };
        let count = random.random_range(20..200);
        let (at, batch) = (
            random.random_range(1..=count),
            number % 3 == 1 || random.random_range(0..2) == 0,
        );
        eprintln!(
            "round {number}: killed at {at} of {count} records, saves each {commit:?}, \
             a snapshot: {batch}, state in {state:?}"
        );
        let (had_more, had_switched) = round(&mut site, &state, commit, count, at, batch).await;
        lost += usize::from(had_more);
        switched += usize::from(had_switched);
    }
    eprintln!(
        "{lost} of {} had more than was saved, {switched} had just switched",
        rounds.count
    );
    // A few of them may all have been saved in time.
    assert!(
        lost * 4 >= rounds.count || rounds.count < 4,
        "hardly anything was lost"
    );
    assert!(
        switched > 0 || rounds.count < KILLS,
        "no snapshot was switched to"
    );
    site.check_successor().await;
    site.end().await;
}
