//! Ports that stay the same over a restart.

use std::net::TcpListener;

use tidemark_broker::environment::{Entropy, SystemEntropy};

/// Below the range from which the system takes ports for outgoing connections: a client that tries
/// a port of that range again and again while nobody listens may at last be connected to itself,
/// and the broker finds its port taken.
const FIRST: u16 = 20_000;
const COUNT: u16 = 12_000;

/// A port nobody listens on now, for who is stopped and comes back at the same address.
/// All other tests let the system choose: with port 0.
pub fn free_port() -> u16 {
    let mut random = [0; 2];
    SystemEntropy.fill(&mut random);
    let start = u16::from_be_bytes(random) % COUNT;
    let candidates = (0..COUNT).map(|step| FIRST + (start + step) % COUNT);
    let free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    candidates
        .into_iter()
        .find(free)
        .expect("of so many ports one is free")
}
