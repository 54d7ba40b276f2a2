//! The fuzz targets on seeded inputs, for toolchains without a fuzzer. `TIDEMARK_FUZZ_CASES` sets
//! the number of cases per target, `TIDEMARK_FUZZ_SEED` the first seed: a failure names both.

mod targets;

use targets::random::Random;
use targets::sides::{REQUESTS, RESPONSES, Side};
use tidemark_protocol::records::{Compression, compress};

const DEFAULT_CASES: u64 = 4000;

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .ok()
        .and_then(|value| value.parse().ok())
        .unwrap_or(default)
}

/// Says which seed it was if the target panics.
struct Seed(&'static str, u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let Self(target, seed) = self;
            eprintln!("{target} failed: TIDEMARK_FUZZ_SEED={seed} TIDEMARK_FUZZ_CASES=1");
        }
    }
}

/// Runs `target` on inputs that `make` draws, most of them damaged afterwards.
fn run(name: &'static str, target: fn(&[u8]), make: impl Fn(&mut Random) -> Vec<u8>) {
    let first = setting("TIDEMARK_FUZZ_SEED", 1);
    for seed in first..first + setting("TIDEMARK_FUZZ_CASES", DEFAULT_CASES) {
        let _seed = Seed(name, seed);
        let mut random = Random::new(seed);
        let mut input = match random.below(8) {
            0 => {
                let size = random.below(120);
                random.bytes(size)
            }
            _ => make(&mut random),
        };
        if random.below(8) > 0 {
            random.damage(&mut input);
        }
        target(&input);
    }
}

/// API key, version and a body of that shape.
fn message(side: &Side, random: &mut Random) -> Vec<u8> {
    let (shape, version, body) = side.any(random);
    let version = version - shape.min;
    [&shape.key.to_be_bytes()[..], &version.to_be_bytes(), &body].concat()
}

#[test]
fn guard_and_decode() {
    run("guard_and_decode", targets::guard_and_decode, |random| {
        message(&REQUESTS, random)
    });
}

#[test]
fn guard_and_decode_response() {
    let target = targets::guard_and_decode_response;
    run("guard_and_decode_response", target, |random| {
        message(&RESPONSES, random)
    });
}

#[test]
fn frames() {
    run("frames", targets::frames, |random| {
        let request = message(&REQUESTS, random);
        let (key, body) = request.split_at(4);
        let header = [key, &[0, 0, 0, 1, 0, 1, b'c', 0]].concat();
        let length = (header.len() + body.len()) as i32;
        [&length.to_be_bytes()[..], &header, body].concat()
    });
}

#[test]
fn batches() {
    run("batches", targets::batches, |random| {
        [random.batch(), random.batch()].concat()
    });
}

#[test]
fn records() {
    run("records", targets::records, |random| {
        let batch = random.batch();
        [&batch[60..61], &batch[61..]].concat()
    });
}

#[test]
fn decompressors() {
    run("decompressors", targets::decompressors, |random| {
        let codec = Compression::ALL[random.below(5)];
        let size = random.below(3000);
        let input = random.bytes(size / 10).repeat(10);
        let packed = compress(codec, None, &input).expect("small input compresses");
        [&[codec.id()][..], &packed].concat()
    });
}

#[test]
fn legacy() {
    let sets: Vec<Vec<u8>> = include_str!("fixtures/kafka_batches.txt")
        .lines()
        .filter_map(|line| line.split_once(' '))
        .filter(|(name, _)| name.starts_with("v0") || name.starts_with("v1"))
        .map(|(_, hex)| {
            let bytes = hex.as_bytes().chunks(2);
            bytes
                .map(|pair| u8::from_str_radix(&String::from_utf8_lossy(pair), 16))
                .collect()
        })
        .collect::<Result<_, _>>()
        .expect("the fixtures are hex");
    assert_eq!(sets.len(), 12);
    run("legacy", targets::legacy, |random| {
        sets[random.below(sets.len())].clone()
    });
}
