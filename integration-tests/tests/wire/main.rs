//! What a client sees on the wire, good and bad: an embedded broker in memory, driven by one
//! connection at a time with messages of the protocol.

mod admin;
mod epochs;
mod fetch;
mod framing;
mod groups;
mod in_process;
mod limits;
mod list_offsets;
mod metadata;
mod produce;
mod sessions;
mod support;
mod versions;
