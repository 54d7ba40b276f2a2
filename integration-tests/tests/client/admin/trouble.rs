//! Troubles that pass are got over, those that do not are told, and nothing is asked for more often
//! than it has to be.

use std::sync::{Arc, Mutex};

use integration_tests::harness::cluster::{Cluster, unique};
use integration_tests::harness::proxy::{Intercepted, Proxy, Verdict};
use kafka_protocol::protocol::Request;
use tidemark_client::admin::{
    ConfigQuery, ConfigResource, EpochQuery, GroupFilter, Mode, NewTopic, OffsetSpec, OffsetsOf,
};
use tidemark_client::consumer::{CommittedOffset, IsolationLevel};
use tidemark_client::{Admin, Client, TopicPartition};
use tidemark_protocol::ErrorCode;
use tidemark_protocol::messages::create_topics_response::CreatableTopicResult;
use tidemark_protocol::messages::{
    CreateTopicsRequest, CreateTopicsResponse, DescribeConfigsRequest, FindCoordinatorRequest,
    ListGroupsRequest, ListOffsetsRequest, OffsetCommitRequest, OffsetFetchRequest,
    OffsetForLeaderEpochRequest,
};

use super::{code, make, refusal, says};

/// Tidemark behind a proxy.
struct Site {
    proxy: Proxy,
    cluster: Cluster,
    admin: Admin,
}

/// The requests that a script has seen, of one API.
type Seen = Arc<Mutex<Vec<Intercepted>>>;

impl Site {
    async fn start() -> Self {
        let proxy = Proxy::intercept(|_: &Intercepted| Verdict::Pass).await;
        let cluster = Cluster::tidemark_behind(&proxy, &[]).await;
        let admin = Client::connect(&proxy.address()).unwrap().admin();
        Self {
            proxy,
            cluster,
            admin,
        }
    }

    /// Lets `trouble` decide about each request of an API, by how many there were before it.
    fn trouble<R: Request>(
        &self,
        trouble: impl Fn(usize, &Intercepted) -> Verdict + Send + Sync + 'static,
    ) -> Seen {
        let seen = Seen::default();
        let noted = Arc::clone(&seen);
        self.proxy.set_script(move |asked: &Intercepted| {
            if !asked.is::<R>() {
                return Verdict::Pass;
            }
            let mut noted = noted.lock().unwrap();
            noted.push(asked.clone());
            trouble(noted.len() - 1, asked)
        });
        seen
    }

    /// The first request of an API fails with this code.
    fn once<R: Request>(&self, code: ErrorCode) -> Seen {
        self.trouble::<R>(move |before, asked| match before {
            0 => asked.fail(code),
            _ => Verdict::Pass,
        })
    }

    async fn stop(self) {
        drop(self.proxy);
        self.cluster.stop().await;
    }
}

fn count(seen: &Seen) -> usize {
    seen.lock().unwrap().len()
}

fn refused(asked: &Intercepted, code: ErrorCode) -> Verdict {
    let request = asked.decode::<CreateTopicsRequest>();
    let topics = request.topics.into_iter().map(|topic| {
        CreatableTopicResult::default()
            .with_name(topic.name)
            .with_error_code(code.code())
    });
    let response = CreateTopicsResponse::default().with_topics(topics.collect());
    asked.answer::<CreateTopicsRequest>(&response)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn troubles_that_pass_are_got_over() {
    let site = Site::start().await;
    let admin = &site.admin;
    let [topic, group] = ["topic", "group"].map(unique);
    let seen = site.trouble::<CreateTopicsRequest>(|before, asked| match before {
        0 => refused(asked, ErrorCode::NotController),
        1 => refused(asked, ErrorCode::ThrottlingQuotaExceeded),
        2 => Verdict::Close,
        _ => Verdict::Pass,
    });
    make(admin, &topic, 2).await;
    assert_eq!(count(&seen), 4);
    let key = TopicPartition::new(&*topic, 0);
    let latest = || [(key.clone(), OffsetSpec::Latest)];
    let seen = site.once::<ListOffsetsRequest>(ErrorCode::NotLeaderOrFollower);
    let listed = admin
        .list_offsets(latest(), IsolationLevel::ReadUncommitted)
        .await;
    assert_eq!(listed.unwrap().all().unwrap()[&key].offset, Some(0));
    assert_eq!(count(&seen), 2);
    let seen = site.once::<FindCoordinatorRequest>(ErrorCode::CoordinatorNotAvailable);
    let set = || [(key.clone(), CommittedOffset::new(3))];
    admin
        .alter_group_offsets(&group, set())
        .await
        .unwrap()
        .all()
        .unwrap();
    assert_eq!(count(&seen), 2);
    let seen = site.trouble::<FindCoordinatorRequest>(|before, asked| match before {
        0 => asked.rewrite::<FindCoordinatorRequest>(|response| {
            response.coordinators[1].error_code = ErrorCode::CoordinatorNotAvailable.code();
        }),
        _ => Verdict::Pass,
    });
    let found = admin.find_coordinators(["one", "other"]).await.unwrap();
    assert_eq!(found.all().unwrap().len(), 2);
    let asked = seen
        .lock()
        .unwrap()
        .iter()
        .map(|asked| {
            asked
                .decode::<FindCoordinatorRequest>()
                .coordinator_keys
                .len()
        })
        .collect::<Vec<_>>();
    assert_eq!(asked, [2, 1]);
    // The coordinator is known, until it says that it is none.
    let seen = site.once::<FindCoordinatorRequest>(ErrorCode::None);
    admin
        .describe_groups([&*group])
        .await
        .unwrap()
        .all()
        .unwrap();
    assert_eq!(count(&seen), 0);
    let seen = site.once::<OffsetCommitRequest>(ErrorCode::NotCoordinator);
    admin
        .alter_group_offsets(&group, set())
        .await
        .unwrap()
        .all()
        .unwrap();
    assert_eq!(count(&seen), 2);
    let seen = site.once::<OffsetFetchRequest>(ErrorCode::CoordinatorLoadInProgress);
    let offsets = admin
        .group_offsets([(&*group, OffsetsOf::All)])
        .await
        .unwrap();
    let offsets = offsets
        .all()
        .unwrap()
        .remove(&group)
        .unwrap()
        .all()
        .unwrap();
    assert_eq!(offsets[&key], Some(CommittedOffset::new(3)));
    assert_eq!(count(&seen), 2);
    // One of its partitions is enough for a group to be asked for again.
    let seen = site.trouble::<OffsetFetchRequest>(|before, asked| {
        assert!(asked.decode::<OffsetFetchRequest>().require_stable);
        match before {
            0 => asked.rewrite::<OffsetFetchRequest>(|response| {
                let partition = &mut response.groups[0].topics[0].partitions[0];
                partition.error_code = ErrorCode::UnstableOffsetCommit.code();
            }),
            _ => Verdict::Pass,
        }
    });
    let offsets = admin
        .stable_group_offsets([(&*group, OffsetsOf::All)])
        .await
        .unwrap();
    let offsets = offsets.all().unwrap().remove(&group).unwrap();
    assert!(offsets.get(&key).unwrap().is_ok());
    assert_eq!(count(&seen), 2);
    // A coordinator that asks for time is not looked for again on another connection.
    let connection = |at: usize| seen.lock().unwrap()[at].connection;
    assert_eq!(connection(0), connection(1));
    let seen = site.trouble::<ListGroupsRequest>(|before, asked| match before {
        0 => asked.rewrite::<ListGroupsRequest>(|response| {
            response.error_code = ErrorCode::CoordinatorLoadInProgress.code();
        }),
        1 => Verdict::Garbage(bytes::Bytes::from_static(&[0, 0, 0, 2, 7, 7])),
        _ => Verdict::Pass,
    });
    let groups = admin
        .list_groups(GroupFilter::new())
        .await
        .unwrap()
        .all()
        .unwrap();
    assert_eq!(groups.into_values().flatten().count(), 1);
    assert_eq!(count(&seen), 3);
    let seen = site.trouble::<DescribeConfigsRequest>(|before, _| match before {
        0 => Verdict::CloseAtAnswer,
        _ => Verdict::Pass,
    });
    let resource = [ConfigResource::topic(&topic)];
    admin
        .describe_configs(resource, ConfigQuery::new())
        .await
        .unwrap()
        .all()
        .unwrap();
    assert_eq!(count(&seen), 2);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_what_is_open_is_asked_again() {
    let site = Site::start().await;
    let admin = &site.admin;
    let topic = unique("topic");
    make(admin, &topic, 3).await;
    let seen = site.trouble::<ListOffsetsRequest>(|before, asked| match before {
        0 => asked.rewrite::<ListOffsetsRequest>(|response| {
            for partition in &mut response.topics[0].partitions {
                if partition.partition_index == 1 {
                    partition.error_code = ErrorCode::LeaderNotAvailable.code();
                }
            }
        }),
        _ => Verdict::Pass,
    });
    let wanted = (0..3).map(|index| (TopicPartition::new(&*topic, index), OffsetSpec::Latest));
    let listed = admin
        .list_offsets(wanted, IsolationLevel::ReadUncommitted)
        .await
        .unwrap();
    assert_eq!(listed.all().unwrap().len(), 3);
    let asked = seen
        .lock()
        .unwrap()
        .iter()
        .map(|asked| {
            let topics = asked.decode::<ListOffsetsRequest>().topics;
            topics[0]
                .partitions
                .iter()
                .map(|partition| partition.partition_index)
                .collect()
        })
        .collect::<Vec<Vec<i32>>>();
    assert_eq!(asked, [vec![0, 1, 2], vec![1]]);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn troubles_that_last_are_told() {
    let site = Site::start().await;
    let admin = &site.admin;
    let [topic, group, new] = ["topic", "group", "new"].map(unique);
    make(admin, &topic, 1).await;
    let key = TopicPartition::new(&*topic, 0);
    let always = |code: ErrorCode| move |_: usize, asked: &Intercepted| asked.fail(code);
    let set = [(key.clone(), CommittedOffset::new(3))];
    let seen = site.trouble::<OffsetCommitRequest>(always(ErrorCode::GroupAuthorizationFailed));
    let error = refusal(admin.alter_group_offsets(&group, set).await.unwrap());
    assert_eq!(
        (code(&error), count(&seen)),
        (ErrorCode::GroupAuthorizationFailed, 1)
    );
    let seen = site.trouble::<FindCoordinatorRequest>(always(ErrorCode::GroupAuthorizationFailed));
    let error = refusal(admin.find_coordinators([&*new]).await.unwrap());
    says(&error, &["finding the coordinator", &new]);
    assert_eq!(
        (code(&error), count(&seen)),
        (ErrorCode::GroupAuthorizationFailed, 1)
    );
    // It might become known; not for long.
    let seen = site.trouble::<ListOffsetsRequest>(always(ErrorCode::UnknownTopicOrPartition));
    let wanted = [(key.clone(), OffsetSpec::Latest)];
    let listed = admin
        .list_offsets(wanted, IsolationLevel::ReadUncommitted)
        .await
        .unwrap();
    assert_eq!(code(&refusal(listed)), ErrorCode::UnknownTopicOrPartition);
    assert_eq!(count(&seen), 4);
    // The epoch would be the same the next time.
    let seen = site.trouble::<OffsetForLeaderEpochRequest>(always(ErrorCode::FencedLeaderEpoch));
    let query = EpochQuery {
        leader_epoch: 0,
        current: Some(0),
    };
    let ends = admin
        .offsets_for_leader_epochs([(key.clone(), query)])
        .await
        .unwrap();
    assert_eq!(code(&refusal(ends)), ErrorCode::FencedLeaderEpoch);
    assert_eq!(count(&seen), 1);
    // Nobody knows what became of the first try: it was carried out.
    let seen = site.trouble::<CreateTopicsRequest>(|before, _| match before {
        0 => Verdict::CloseAtAnswer,
        _ => Verdict::Pass,
    });
    let made = admin
        .create_topics([NewTopic::new(&new)], Mode::Apply)
        .await
        .unwrap();
    assert_eq!(code(&refusal(made)), ErrorCode::TopicAlreadyExists);
    assert_eq!(count(&seen), 2);
    // An answer that is silent about what was asked.
    site.trouble::<CreateTopicsRequest>(|_, asked| {
        asked.answer::<CreateTopicsRequest>(&CreateTopicsResponse::default())
    });
    let made = admin
        .create_topics([NewTopic::new("silent")], Mode::Apply)
        .await
        .unwrap();
    says(
        &refusal(made),
        &["creating topics", "does not speak of silent"],
    );
    // Until time is up; the last reason is told.
    site.trouble::<ListOffsetsRequest>(always(ErrorCode::NotLeaderOrFollower));
    let hasty = admin.clone().timeout(std::time::Duration::from_millis(700));
    let wanted = [(key, OffsetSpec::Latest)];
    let error = hasty
        .list_offsets(wanted, IsolationLevel::ReadUncommitted)
        .await
        .unwrap_err();
    assert_eq!(code(&error), ErrorCode::NotLeaderOrFollower);
    says(
        &error,
        &["listing offsets", "700ms", "NOT_LEADER_OR_FOLLOWER"],
    );
    site.stop().await;
}
