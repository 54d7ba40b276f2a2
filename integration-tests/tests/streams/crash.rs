//! Instances that end in every way, again and again, in the midst of their work: what comes out in the
//! end is what plain loops find in the whole input.
//!
//! In one half of the tests an instance is a part of the test's process, and is dropped: whatever it was
//! waiting for, that does not come back. In the other half it is a process of its own, and is killed by
//! SIGKILL. Records are written meanwhile, so there is always something left to be done.

mod instance;
mod life;

use integration_tests::applications::{
    ALL, Application, COUNTS, HOPPING, LATE, MERGED_COUNTS, SESSION_UPDATES, SESSIONS, SLIDING,
    STREAM_JOIN, SUPPRESSED, TABLE_JOIN,
};
use integration_tests::harness::cluster::{Cluster, for_each_cluster, unique};
use integration_tests::rounds::Rounds;
use tidemark_client::Client;

use crate::support::broker;
use instance::Kind;
use life::Life;

/// How often an instance that is dropped ends, with state on disk and without.
const DROPS: usize = 10;
/// How often a process is killed, for each application.
const KILLS: usize = 4;
/// The same on Apache Kafka, which takes longer to see members come and go.
const FEW_KILLS: usize = 2;

/// Without state on disk, then with it.
async fn dropped(application: &'static Application) {
    let rounds = Rounds::from_environment("streams crash::", DROPS);
    eprintln!("{}", rounds.replay());
    let dir = tempfile::tempdir().unwrap();
    let broker = broker(&dir.path().join("broker")).await;
    let client = Client::connect(&broker.bootstrap()).unwrap();
    let mut amid_work = 0;
    for state in [None, Some(dir.path().join("state"))] {
        let id = unique(application.name);
        let mut life = Life::new(application, &id, &client, &broker.bootstrap(), state);
        amid_work += life.go_on(Kind::Here, &rounds, rounds.count).await;
        life.end().await;
    }
    // A small number of rounds may all end in order.
    assert!(
        amid_work * 2 >= rounds.count || rounds.count < 4,
        "hardly anything was left undone"
    );
    broker.shutdown().await.unwrap();
}

macro_rules! dropped {
    ($($name:ident: $application:ident;)*) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            dropped(&$application).await;
        })*
    };
}

dropped! {
    counts_are_exact_however_often_it_dies: COUNTS;
    what_several_topics_make_is_counted_once_however_often_it_dies: MERGED_COUNTS;
    late_records_stay_late_however_often_it_dies: LATE;
    hopping_windows_are_exact_however_often_it_dies: HOPPING;
    sliding_windows_are_exact_however_often_it_dies: SLIDING;
    sessions_are_exact_however_often_it_dies: SESSIONS;
    updates_of_sessions_are_exact_however_often_it_dies: SESSION_UPDATES;
    what_is_held_back_is_exact_however_often_it_dies: SUPPRESSED;
    joined_streams_are_exact_however_often_it_dies: STREAM_JOIN;
    joined_tables_are_exact_however_often_it_dies: TABLE_JOIN;
}

/// Applications one after the other, each instance in a process of its own.
async fn killed(cluster: &Cluster, applications: &[&'static Application], count: usize) {
    let rounds = Rounds::from_environment("streams crash::", count);
    eprintln!("{}", rounds.replay());
    let client = Client::connect(&cluster.bootstrap()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let mut amid_work = 0;
    for (number, application) in applications.iter().enumerate() {
        let id = unique(application.name);
        let state = (number % 2 == 0).then(|| dir.path().join("state"));
        let mut life = Life::new(application, &id, &client, &cluster.bootstrap(), state);
        amid_work += life.go_on(Kind::Process, &rounds, rounds.count).await;
        life.end().await;
    }
    // Those of one application may well end in order; they all begin alike.
    let all = rounds.count * applications.len();
    assert!(
        amid_work * 8 >= all || (amid_work > 0 && rounds.count < 4),
        "hardly anything was left undone"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_9_takes_nothing_and_doubles_nothing() {
    for_each_cluster(async |cluster| match cluster.is_kafka() {
        false => killed(cluster, &ALL, KILLS).await,
        true => {
            killed(
                cluster,
                &[&HOPPING, &SESSIONS, &STREAM_JOIN, &TABLE_JOIN],
                FEW_KILLS,
            )
            .await
        }
    })
    .await;
}
