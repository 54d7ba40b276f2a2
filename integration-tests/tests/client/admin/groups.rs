//! Groups, their members and their offsets.

use integration_tests::harness::cluster::{for_each_cluster, unique};
use tidemark_client::admin::{
    GroupFilter, GroupListing, GroupState, GroupType, MemberToRemove, OffsetsOf,
};
use tidemark_client::consumer::CommittedOffset;
use tidemark_client::{Admin, Broker, TopicPartition};
use tidemark_protocol::ErrorCode;

use super::member::join;
use super::{admin, code, codes, make, refusal, says};

pub(super) async fn listed(admin: &Admin, filter: GroupFilter) -> Vec<GroupListing> {
    let groups = admin.list_groups(filter).await.unwrap().all().unwrap();
    groups.into_values().flatten().collect()
}

/// What a group has committed, in partitions where it has.
pub(super) async fn offsets(admin: &Admin, group: &str) -> Vec<(TopicPartition, i64)> {
    let groups = admin
        .group_offsets([(group, OffsetsOf::All)])
        .await
        .unwrap();
    let offsets = groups.all().unwrap().remove(group).unwrap().all().unwrap();
    let offsets = offsets.into_iter();
    offsets
        .filter_map(|(key, at)| Some((key, at?.offset)))
        .collect()
}

/// The only one.
async fn broker(admin: &Admin) -> Broker {
    let described = admin.describe_cluster().await.unwrap();
    described.brokers.into_iter().next().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn coordinators_are_found() {
    for_each_cluster(async |cluster| {
        let admin = admin(cluster);
        // One of a group that nobody has heard of is found all the same.
        let groups = ["one", "other"].map(unique);
        let found = admin.find_coordinators(&groups).await.unwrap();
        assert_eq!(found.len(), 2);
        let expected = broker(&admin).await;
        for (group, found) in found.all().unwrap() {
            assert!(groups.contains(&group));
            assert_eq!(found, expected);
        }
        let none: [&str; 0] = [];
        assert!(admin.find_coordinators(none).await.unwrap().is_empty());
        let error = admin.find_coordinators(["same", "same"]).await.unwrap_err();
        says(&error, &["groups", "same", "twice"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn groups_are_listed_described_and_deleted() {
    for_each_cluster(async |cluster| {
        let admin = admin(cluster);
        let [topic, group, other] = ["topic", "group", "other"].map(unique);
        make(&admin, &topic, 2).await;
        let member = join(cluster, &group, None, &topic, &[0, 1]).await;
        let one = [(TopicPartition::new(&*topic, 1), CommittedOffset::new(0))];
        admin
            .alter_group_offsets(&other, one)
            .await
            .unwrap()
            .all()
            .unwrap();

        let find = |listed: Vec<GroupListing>, id: &str| {
            listed.into_iter().find(|listing| listing.id == id)
        };
        let listing = find(listed(&admin, GroupFilter::new()).await, &group).unwrap();
        assert_eq!(listing.protocol_type, "consumer");
        assert_eq!(listing.state, Some(GroupState::Stable));
        assert_eq!(listing.kind, Some(GroupType::Classic));
        let empty = || GroupFilter::new().states([GroupState::Empty]);
        assert!(find(listed(&admin, empty()).await, &group).is_none());
        assert!(find(listed(&admin, empty()).await, &other).is_some());
        let new = GroupFilter::new().types([GroupType::Consumer]);
        assert!(find(listed(&admin, new).await, &group).is_none());

        let missing = unique("missing");
        let described = admin
            .describe_groups([&*group, &*other, &*missing])
            .await
            .unwrap();
        let found = described.get(&group).unwrap().as_ref().unwrap();
        assert_eq!(
            (&found.state, &*found.protocol),
            (&GroupState::Stable, "range")
        );
        let [only] = &found.members[..] else {
            panic!("{found:?}")
        };
        assert_eq!((&only.id, &*only.client_id), (&member.id, "member"));
        assert_eq!(
            (&only.instance_id, &only.host.contains("127.0.0.1")),
            (&None, &true)
        );
        assert_eq!(only.topics, [&*topic]);
        let all = [0, 1].map(|index| TopicPartition::new(&*topic, index));
        assert_eq!(only.partitions, all);
        assert_eq!(found.coordinator, broker(&admin).await);
        assert_eq!(found.kind, GroupType::Classic);
        let idle = described.get(&other).unwrap().as_ref().unwrap();
        assert_eq!((&idle.state, idle.members.len()), (&GroupState::Empty, 0));
        let error = described.get(&missing).unwrap().as_ref().unwrap_err();
        assert_eq!(code(error), ErrorCode::GroupIdNotFound);
        says(error, &[&missing]);

        let deleted = admin
            .delete_groups([&*group, &*other, &*missing])
            .await
            .unwrap();
        for (name, code) in codes(deleted) {
            let expected = match name {
                name if name == group => ErrorCode::NonEmptyGroup,
                name if name == other => ErrorCode::None,
                _ => ErrorCode::GroupIdNotFound,
            };
            assert_eq!(code, expected);
        }
        admin
            .remove_all_members(&group, "the test is over")
            .await
            .unwrap()
            .all()
            .unwrap();
        admin.delete_groups([&*group]).await.unwrap().all().unwrap();
        assert!(find(listed(&admin, GroupFilter::new()).await, &group).is_none());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_are_removed() {
    for_each_cluster(async |cluster| {
        let admin = admin(cluster);
        let [topic, dynamic, fixed] = ["topic", "dynamic", "fixed"].map(unique);
        make(&admin, &topic, 1).await;
        let member = join(cluster, &dynamic, None, &topic, &[0]).await;
        join(cluster, &fixed, Some("first"), &topic, &[0]).await;
        let wanted = [
            MemberToRemove::Id("nobody".into()),
            MemberToRemove::Id(member.id.clone()),
        ];
        let removed = admin
            .remove_members(&dynamic, wanted.clone(), "test")
            .await
            .unwrap();
        let error = removed.get(&wanted[0]).unwrap().as_ref().unwrap_err();
        assert_eq!(code(error), ErrorCode::UnknownMemberId);
        says(error, &["nobody", &dynamic]);
        assert!(removed.get(&wanted[1]).unwrap().is_ok());
        let wanted = ["first", "second"].map(|id| MemberToRemove::Instance(id.into()));
        let removed = admin
            .remove_members(&fixed, wanted.clone(), "test")
            .await
            .unwrap();
        assert!(removed.get(&wanted[0]).unwrap().is_ok());
        let error = removed.get(&wanted[1]).unwrap().as_ref().unwrap_err();
        assert_eq!(code(error), ErrorCode::UnknownMemberId);
        for group in [&dynamic, &fixed] {
            let described = admin
                .describe_groups([&**group])
                .await
                .unwrap()
                .all()
                .unwrap();
            assert_eq!(described[group].state, GroupState::Empty);
        }
        let none = admin.remove_all_members(&fixed, "test").await.unwrap();
        assert!(none.is_empty());
        let error = admin
            .remove_all_members(&unique("missing"), "test")
            .await
            .unwrap_err();
        assert_eq!(code(&error), ErrorCode::GroupIdNotFound);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn offsets_are_set_read_and_deleted() {
    for_each_cluster(async |cluster| {
        let admin = admin(cluster);
        let [topic, group] = ["topic", "group"].map(unique);
        make(&admin, &topic, 3).await;
        let key = |index| TopicPartition::new(&*topic, index);
        let noted = CommittedOffset {
            offset: 7,
            leader_epoch: 0,
            metadata: "noted".to_owned(),
        };
        let wanted = [(key(0), noted.clone()), (key(1), CommittedOffset::new(8))];
        admin
            .alter_group_offsets(&group, wanted)
            .await
            .unwrap()
            .all()
            .unwrap();
        assert_eq!(offsets(&admin, &group).await, [(key(0), 7), (key(1), 8)]);
        let missing = unique("missing");
        let some = OffsetsOf::Partitions(vec![key(0), key(2)]);
        let groups = [(&*group, some), (&*missing, OffsetsOf::All)];
        let groups = admin.group_offsets(groups).await.unwrap().all().unwrap();
        let found = groups[&group].clone().all().unwrap();
        assert_eq!(
            (found[&key(0)].clone(), found[&key(2)].clone()),
            (Some(noted), None)
        );
        assert!(groups[&missing].is_empty());

        let nowhere = [(TopicPartition::new(&*missing, 0), CommittedOffset::new(1))];
        let error = refusal(admin.alter_group_offsets(&group, nowhere).await.unwrap());
        assert_eq!(code(&error), ErrorCode::UnknownTopicOrPartition);
        says(&error, &[&group, &missing]);

        let member = join(cluster, &group, None, &topic, &[0, 1, 2]).await;
        let again = [(key(0), CommittedOffset::new(1))];
        let error = refusal(
            admin
                .alter_group_offsets(&group, again.clone())
                .await
                .unwrap(),
        );
        assert_eq!(code(&error), ErrorCode::UnknownMemberId);
        let deleted = admin.delete_group_offsets(&group, [key(0)]).await.unwrap();
        assert_eq!(code(&refusal(deleted)), ErrorCode::GroupSubscribedToTopic);
        let gone = [MemberToRemove::Id(member.id.clone())];
        admin
            .remove_members(&group, gone, "test")
            .await
            .unwrap()
            .all()
            .unwrap();
        admin
            .alter_group_offsets(&group, again)
            .await
            .unwrap()
            .all()
            .unwrap();
        admin
            .delete_group_offsets(&group, [key(1)])
            .await
            .unwrap()
            .all()
            .unwrap();
        assert_eq!(offsets(&admin, &group).await, [(key(0), 1)]);
        let nobody = admin
            .delete_group_offsets(&missing, [key(0)])
            .await
            .unwrap();
        let error = refusal(nobody);
        assert_eq!(code(&error), ErrorCode::GroupIdNotFound);
        says(&error, &[&missing]);
    })
    .await;
}
