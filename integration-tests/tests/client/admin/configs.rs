//! Configs of topics and brokers.

use integration_tests::harness::cluster::{for_each_cluster, unique};
use tidemark_client::Admin;
use tidemark_client::admin::{
    ConfigChange, ConfigEntry, ConfigQuery, ConfigResource, ConfigSource, ConfigType, Mode,
    NewTopic, ResourceKind,
};
use tidemark_protocol::ErrorCode;

use super::{admin, code, codes, make, make_with, refusal, says, settled};

async fn entry(admin: &Admin, resource: &ConfigResource, name: &str) -> ConfigEntry {
    let query = ConfigQuery::new().names([name]);
    let described = admin.describe_configs([resource.clone()], query).await;
    let mut found = described.unwrap().all().unwrap();
    let found = found.remove(resource).unwrap();
    assert_eq!(found.len(), 1, "{found:?}");
    found.into_iter().next().unwrap()
}

/// The value, once it has become this.
async fn becomes(admin: &Admin, resource: &ConfigResource, name: &str, value: &str) {
    settled(async || {
        let found = entry(admin, resource, name).await;
        (found.value.as_deref() == Some(value)).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn configs_are_described_and_changed() {
    for_each_cluster(async |cluster| {
        let admin = admin(cluster);
        let name = unique("topic");
        make_with(&admin, NewTopic::new(&name).config("retention.ms", "1234")).await;
        let topic = ConfigResource::topic(&name);
        let told = entry(&admin, &topic, "retention.ms").await;
        assert_eq!(told.value.as_deref(), Some("1234"));
        assert_eq!(told.source, ConfigSource::DynamicTopic);
        assert_eq!(
            (told.kind, told.read_only, told.sensitive),
            (ConfigType::Long, false, false)
        );
        assert!(!told.is_default() && told.synonyms.is_empty() && told.documentation.is_none());
        let untouched = entry(&admin, &topic, "max.message.bytes").await;
        assert!(untouched.is_default(), "{untouched:?}");

        let query = ConfigQuery::new().synonyms().documentation();
        let all = admin
            .describe_configs([topic.clone()], query)
            .await
            .unwrap();
        let all = all.all().unwrap().remove(&topic).unwrap();
        assert!(all.is_sorted_by(|a, b| a.name < b.name) && all.len() > 20);
        let told = all
            .iter()
            .find(|entry| entry.name == "retention.ms")
            .unwrap();
        assert!(
            told.documentation
                .as_ref()
                .is_some_and(|text| !text.is_empty())
        );
        let first = told.synonyms.first().unwrap();
        assert_eq!(
            (&*first.name, first.source),
            ("retention.ms", ConfigSource::DynamicTopic)
        );
        assert_eq!(first.value.as_deref(), Some("1234"));

        change(&admin, &topic).await;
        replace(&admin, &topic).await;
    })
    .await;
}

async fn change(admin: &Admin, topic: &ConfigResource) {
    let apply = async |changes: Vec<ConfigChange>, mode| {
        let changes = [(topic.clone(), changes)];
        admin
            .incremental_alter_configs(changes, mode)
            .await
            .unwrap()
    };
    let set = |value: &str| ConfigChange::set("retention.ms", value);
    apply(vec![set("99")], Mode::Validate).await.all().unwrap();
    assert_eq!(
        entry(admin, topic, "retention.ms").await.value.as_deref(),
        Some("1234")
    );
    apply(vec![set("99")], Mode::Apply).await.all().unwrap();
    becomes(admin, topic, "retention.ms", "99").await;
    // All changes of a resource, or none.
    let bad = vec![set("100"), ConfigChange::set("max.message.bytes", "large")];
    let error = refusal(apply(bad, Mode::Apply).await);
    assert_eq!(code(&error), ErrorCode::InvalidConfig);
    says(&error, &[&topic.name, "max.message.bytes", "large"]);
    assert_eq!(
        entry(admin, topic, "retention.ms").await.value.as_deref(),
        Some("99")
    );
    let error = refusal(apply(vec![ConfigChange::set("no.such", "1")], Mode::Apply).await);
    assert_eq!(code(&error), ErrorCode::InvalidConfig);
    says(&error, &["no.such"]);
    let list = |change: fn(String, String) -> ConfigChange, value: &str| {
        vec![change("cleanup.policy".to_owned(), value.to_owned())]
    };
    apply(list(ConfigChange::Append, "compact"), Mode::Apply)
        .await
        .all()
        .unwrap();
    becomes(admin, topic, "cleanup.policy", "delete,compact").await;
    apply(list(ConfigChange::Subtract, "delete"), Mode::Apply)
        .await
        .all()
        .unwrap();
    becomes(admin, topic, "cleanup.policy", "compact").await;
    let delete = vec![
        ConfigChange::delete("cleanup.policy"),
        ConfigChange::delete("retention.ms"),
    ];
    apply(delete, Mode::Apply).await.all().unwrap();
    becomes(admin, topic, "cleanup.policy", "delete").await;
    assert_ne!(
        entry(admin, topic, "retention.ms").await.source,
        ConfigSource::DynamicTopic
    );
}

async fn replace(admin: &Admin, topic: &ConfigResource) {
    let replace = async |configs: &[(&str, &str)], mode| {
        let configs = configs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let configs = [(topic.clone(), configs.collect())];
        admin.alter_configs(configs, mode).await.unwrap()
    };
    replace(&[("retention.ms", "5")], Mode::Validate)
        .await
        .all()
        .unwrap();
    replace(&[("retention.ms", "5")], Mode::Apply)
        .await
        .all()
        .unwrap();
    becomes(admin, topic, "retention.ms", "5").await;
    replace(&[("segment.ms", "6")], Mode::Apply)
        .await
        .all()
        .unwrap();
    becomes(admin, topic, "segment.ms", "6").await;
    assert_ne!(
        entry(admin, topic, "retention.ms").await.source,
        ConfigSource::DynamicTopic
    );
    let error = refusal(replace(&[("segment.ms", "-6")], Mode::Apply).await);
    assert_eq!(code(&error), ErrorCode::InvalidConfig);
    says(&error, &["segment.ms", "-6"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn brokers_have_configs_and_what_has_none_is_told() {
    for_each_cluster(async |cluster| {
        let admin = admin(cluster);
        let id = admin.describe_cluster().await.unwrap().brokers[0].id;
        let broker = ConfigResource::broker(id);
        let fixed = entry(&admin, &broker, "node.id").await;
        assert_eq!(fixed.value.as_deref(), Some(&*id.to_string()));
        assert!(fixed.read_only, "{fixed:?}");
        let name = unique("topic");
        make(&admin, &name, 1).await;
        let missing = unique("missing");
        let wanted = [&name, &missing].map(ConfigResource::topic);
        let described = admin
            .describe_configs(wanted.clone(), ConfigQuery::new())
            .await
            .unwrap();
        assert!(described.get(&wanted[0]).unwrap().is_ok());
        let error = described.get(&wanted[1]).unwrap().as_ref().unwrap_err();
        assert_eq!(code(error), ErrorCode::UnknownTopicOrPartition);
        says(error, &[&missing]);
        let change = |resource: &ConfigResource| {
            (
                resource.clone(),
                vec![ConfigChange::set("retention.ms", "7")],
            )
        };
        let changes = wanted.iter().map(change);
        let changed = admin
            .incremental_alter_configs(changes, Mode::Apply)
            .await
            .unwrap();
        let changed = codes(changed).into_iter().map(|(_, code)| code);
        let changed: std::collections::BTreeSet<_> = changed.map(|code| code.code()).collect();
        assert_eq!(changed.into_iter().collect::<Vec<_>>(), [0, 3]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_configs_is_listed() {
    for_each_cluster(async |cluster| {
        let admin = admin(cluster);
        let name = unique("topic");
        make(&admin, &name, 1).await;
        let topics = admin
            .list_config_resources([ResourceKind::Topic])
            .await
            .unwrap();
        assert!(topics.contains(&ConfigResource::topic(&name)), "{topics:?}");
        assert!(
            topics
                .iter()
                .all(|resource| resource.kind == ResourceKind::Topic)
        );
        let all = admin.list_config_resources([]).await.unwrap();
        let id = admin.describe_cluster().await.unwrap().brokers[0].id;
        assert!(all.contains(&ConfigResource::broker(id)), "{all:?}");
        assert_eq!(
            admin
                .list_config_resources([ResourceKind::ClientMetrics])
                .await
                .unwrap(),
            []
        );
    })
    .await;
}
