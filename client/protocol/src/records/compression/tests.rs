use super::super::fixtures::kafka;
use super::super::header::BATCH_HEADER_SIZE;
use super::*;
use proptest::collection::vec;
use proptest::prelude::*;

const CODECS: [Compression; 4] = [
    Compression::Gzip,
    Compression::Snappy,
    Compression::Lz4,
    Compression::Zstd,
];

fn is_too_large(result: &Result<Vec<u8>, CompressionError>) -> bool {
    matches!(result, Err(CompressionError::TooLarge { .. }))
}

#[test]
fn ids_and_names_are_kafkas() {
    for (id, name) in ["none", "gzip", "snappy", "lz4", "zstd"]
        .into_iter()
        .enumerate()
    {
        let codec = Compression::from_id(id as u8).unwrap();
        assert_eq!((codec.id(), codec.name()), (id as u8, name));
        assert_eq!(name.parse(), Ok(codec));
    }
    assert_eq!(Compression::from_id(5), None);
    assert!("ZSTD".parse::<Compression>().is_err());
}

#[test]
fn levels_are_kafkas() {
    let check = |codec: Compression, good: &[i32], bad: &[i32]| {
        for level in good {
            compress(codec, Some(*level), b"abc").unwrap();
        }
        for level in bad {
            let error = compress(codec, Some(*level), b"abc").unwrap_err();
            assert!(
                matches!(error, CompressionError::BadLevel { .. }),
                "{codec} {level}"
            );
        }
    };
    check(Compression::Gzip, &[-1, 1, 6, 9], &[-2, 0, 10]);
    check(Compression::Lz4, &[1, 9, 17], &[0, 18, -1]);
    check(
        Compression::Zstd,
        &[-131_072, -1, 0, 3, 19],
        &[-131_073, 23],
    );
    check(Compression::Snappy, &[], &[0, 1]);
    check(Compression::None, &[], &[0, 1]);
}

#[test]
fn higher_levels_compress_better_where_the_codec_has_levels() {
    let text: Vec<u8> = (0..20_000u32)
        .flat_map(|n| (n * n % 977).to_string().into_bytes())
        .collect();
    for (codec, low, high) in [(Compression::Gzip, 1, 9), (Compression::Zstd, -50, 15)] {
        let size = |level| compress(codec, Some(level), &text).unwrap().len();
        assert!(size(high) < size(low), "{codec}");
    }
}

#[test]
fn bombs_of_every_codec_are_refused() {
    let zeros = vec![0; 100 << 20];
    let limit = 1 << 20;
    for codec in CODECS {
        let bomb = compress(codec, None, &zeros).unwrap();
        assert!(is_too_large(&decompress(codec, &bomb, limit)), "{codec}");
    }
}

#[test]
fn the_limit_is_exact() {
    let input: Vec<u8> = (0..200_000u32).map(|n| n.wrapping_mul(n) as u8).collect();
    for codec in Compression::ALL {
        for size in [0, 1, STEP - 1, STEP, STEP + 1, 3 * STEP, 200_000] {
            let packed = compress(codec, None, &input[..size]).unwrap();
            assert_eq!(
                decompress(codec, &packed, size).unwrap(),
                &input[..size],
                "{codec}"
            );
            if size > 0 {
                assert!(
                    is_too_large(&decompress(codec, &packed, size - 1)),
                    "{codec} {size}"
                );
            }
        }
    }
}

#[test]
fn a_snappy_block_cannot_claim_more_than_it_could_hold() {
    // A varint that says 256 MiB and one byte of data.
    let block = [0x80, 0x80, 0x80, 0x80, 0x01, 0x00];
    assert!(matches!(
        decompress(Compression::Snappy, &block, 1 << 30),
        Err(CompressionError::Corrupt { .. })
    ));
}

#[test]
fn snappy_reads_raw_blocks_and_writes_javas_framing() {
    let input = b"to be or not to be, to be or not to be".repeat(3000);
    let raw = snap::raw::Encoder::new().compress_vec(&input).unwrap();
    assert_eq!(
        decompress(Compression::Snappy, &raw, input.len()).unwrap(),
        input
    );
    let framed = compress(Compression::Snappy, None, &input).unwrap();
    assert!(framed.starts_with(b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01"));
    assert_eq!(kafka("v2-snappy")[BATCH_HEADER_SIZE..][..16], framed[..16]);
    // Two streams in a row, as snappy-java's reader allows.
    let twice = [framed.clone(), framed].concat();
    let expected = [input.clone(), input].concat();
    assert_eq!(
        decompress(Compression::Snappy, &twice, expected.len()).unwrap(),
        expected
    );
}

#[test]
fn zstd_frames_without_content_size_are_read() {
    let input = b"to be or not to be".repeat(50);
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 3).unwrap();
    encoder.include_contentsize(false).unwrap();
    encoder.write_all(&input).unwrap();
    let frame = encoder.finish().unwrap();
    assert_eq!(
        decompress(Compression::Zstd, &frame, input.len()).unwrap(),
        input
    );
    assert!(is_too_large(&decompress(
        Compression::Zstd,
        &frame,
        input.len() - 1
    )));
}

#[test]
fn truncated_data_never_passes_for_whole() {
    let input: Vec<u8> = (0..70_000u32)
        .map(|n| (n.wrapping_mul(n) >> 3) as u8)
        .collect();
    for codec in CODECS {
        let packed = compress(codec, None, &input).unwrap();
        for end in (0..packed.len())
            .step_by(97)
            .chain(packed.len() - 40..packed.len())
        {
            let read = decompress(codec, &packed[..end], input.len());
            // Java's snappy framing has no end mark, zstd reads an empty input as no frame: what
            // comes out of those is shorter, and the walk over the records notices.
            assert!(
                read.is_err() || read.is_ok_and(|read| read.len() < input.len()),
                "{codec}"
            );
        }
    }
}

proptest! {
    #[test]
    fn what_is_compressed_comes_back(input in vec(0..4u8, 0..5000)) {
        for codec in Compression::ALL {
            let packed = compress(codec, None, &input).unwrap();
            prop_assert_eq!(&decompress(codec, &packed, input.len()).unwrap(), &input);
        }
    }

    #[test]
    fn random_and_damaged_bytes_never_panic(
        noise in vec(any::<u8>(), 0..200),
        at in any::<prop::sample::Index>(),
        flip in 1..=255u8,
    ) {
        for codec in Compression::ALL {
            let _ = decompress(codec, &noise, 4096);
            let mut packed = compress(codec, None, &noise.repeat(20)).unwrap();
            if let Some(at) = (!packed.is_empty()).then(|| at.index(packed.len())) {
                packed[at] ^= flip;
            }
            if let Ok(output) = decompress(codec, &packed, 4096) {
                prop_assert!(output.len() <= 4096);
            }
        }
    }
}
