//! Kafka's APIs, one file each, and the one table that knows them all.
//!
//! A handler is a plain function `handle(view, context, request) -> Step`: it looks at what the
//! broker is ([`View`]) and says what should happen ([`Step`]). It never touches a socket, a file
//! or the clock. [`begin`], the one entry that the network layer calls, has
//! the steps carried out: the only asynchronous part.

mod context;
mod entry;
mod execute;
mod memory;
mod registry;
mod step;
mod view;

mod admin_error;
mod alter_configs;
mod api_versions;
mod config_resource;
mod create_partitions;
mod create_topics;
mod delete_groups;
mod delete_records;
mod delete_topics;
mod describe_cluster;
mod describe_configs;
mod describe_groups;
mod describe_log_dirs;
mod describe_topic_partitions;
mod fetch;
mod find_coordinator;
mod group_call;
mod heartbeat;
mod incremental_alter_configs;
mod init_producer_id;
mod join_group;
mod leave_group;
mod list_config_resources;
mod list_groups;
mod list_offsets;
mod metadata;
mod offset_commit;
mod offset_delete;
mod offset_fetch;
mod offset_for_leader_epoch;
mod produce;
mod sync_group;
mod topic_creation;

#[cfg(test)]
mod testing;

pub use context::{Context, ErrorCodes, Response};
pub use entry::{Origin, Started, begin};
pub use fetch::sessions::FetchSessions;
pub use memory::Memory;
pub use registry::{Api, REGISTRY, find, frame_cap, protocol_coverage};
pub use step::Step;
pub use view::{Endpoint, Node, ProducerIds, Shared, View};
