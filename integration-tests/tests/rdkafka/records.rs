//! Messages come back as they were sent.

use integration_tests::harness::calls::{FETCH, connect, fetch_request};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::message::{Header, Headers, Message, OwnedHeaders, OwnedMessage};
use rdkafka::producer::BaseRecord;
use tidemark_protocol::records::Batches;

use super::{Site, in_order, send, settle};

/// How many messages go in a batch.
const BATCH: usize = 100;
const BATCHES: usize = 5;

/// Bytes, none of them, or nothing at all.
type Nullable<'a> = Option<&'a [u8]>;
type Headed = (String, Option<Vec<u8>>);

fn headers(message: &OwnedMessage) -> Vec<Headed> {
    let headers = message
        .headers()
        .into_iter()
        .flat_map(|headers| headers.iter());
    let owned =
        |header: Header<'_, &[u8]>| (header.key.to_owned(), header.value.map(<[u8]>::to_vec));
    headers.map(owned).collect()
}

/// Text that compresses, with bytes in between that do not; the same in every run.
fn content(number: usize) -> Vec<u8> {
    let mut random = StdRng::seed_from_u64(number as u64);
    let mut content = format!("message {number} ")
        .repeat(number % 40)
        .into_bytes();
    let noise = random.random_range(0..200);
    content.extend((0..noise).map(|_| random.random::<u8>()));
    content
}

#[tokio::test]
async fn every_codec_brings_back_what_was_sent() {
    let site = Site::start();
    for (id, codec) in ["none", "gzip", "snappy", "lz4", "zstd"]
        .into_iter()
        .enumerate()
    {
        let topic = format!("with-{codec}");
        site.create_topic(&topic, 1, &[]).await;
        let per_batch = BATCH.to_string();
        let producer = site.producer(&[
            ("compression.codec", codec),
            ("batch.num.messages", &per_batch),
            // Well below what is waited for: on a busy machine librdkafka's flush does not always cut it short.
            ("linger.ms", "5000"),
        ]);
        for number in 0..BATCH * BATCHES {
            let (key, value) = (format!("key {}", number % 7), content(number));
            let record = BaseRecord::with_opaque_to(&topic, number);
            send(&producer, record.key(&key).payload(&value));
        }
        assert_eq!(settle(&producer), in_order(BATCH * BATCHES), "{codec}");

        let messages = site.read(&topic);
        assert_eq!(messages.len(), BATCH * BATCHES, "{codec}");
        for (number, message) in messages.iter().enumerate() {
            let key = format!("key {}", number % 7);
            assert_eq!(message.key(), Some(key.as_bytes()), "{codec} {number}");
            assert_eq!(
                message.payload(),
                Some(&content(number)[..]),
                "{codec} {number}"
            );
        }

        // And the client did compress, and the broker left it as it came.
        let mut connection = connect(site.address()).await;
        let response = connection
            .call(FETCH, &fetch_request(&topic, 0, 0, 0))
            .await;
        let mut response = response.expect("Fetch is answered");
        let bytes = response.responses[0].partitions[0].records.take();
        let bytes = bytes.expect("there are records");
        for batch in Batches::new(&bytes) {
            let header = batch.expect("the broker sends whole batches").header();
            let compression = header.compression().expect("a known codec");
            assert_eq!(usize::from(compression.id()), id, "{codec}");
        }
    }
    site.stop();
}

#[tokio::test]
async fn headers_come_back_in_their_order_with_repeated_keys_and_null_values() {
    let site = Site::start();
    site.create_topic("headed", 1, &[]).await;
    let sent: [Vec<(&str, Nullable<'_>)>; 4] = [
        vec![("one", Some(b"1"))],
        vec![
            ("repeated", Some(b"first")),
            ("other", Some(b"\x00\xff")),
            ("repeated", Some(b"second")),
            ("repeated", None),
            ("Repeated", Some(b"")),
        ],
        vec![("", Some(b"a key of no letters")), ("grüße", None)],
        vec![],
    ];
    let producer = site.producer(&[]);
    for (number, sent) in sent.iter().enumerate() {
        let headers = sent
            .iter()
            .fold(OwnedHeaders::new(), |headers, &(key, value)| {
                headers.insert(Header { key, value })
            });
        let record = BaseRecord::with_opaque_to("headed", number);
        send(
            &producer,
            record.key("key").payload("value").headers(headers),
        );
    }
    assert_eq!(settle(&producer), in_order(sent.len()));
    let messages = site.read("headed");
    for (message, sent) in messages.iter().zip(&sent) {
        let owned =
            |(key, value): &(&str, Nullable<'_>)| ((*key).to_owned(), value.map(<[u8]>::to_vec));
        let sent: Vec<Headed> = sent.iter().map(owned).collect();
        assert_eq!(headers(message), sent);
    }
    site.stop();
}

#[tokio::test]
async fn null_and_empty_are_two_things_for_keys_and_for_values() {
    let site = Site::start();
    site.create_topic("empty", 1, &[]).await;
    let producer = site.producer(&[]);
    let cases: [(Nullable<'_>, Nullable<'_>); 6] = [
        (None, Some(b"no key")),
        (Some(b""), Some(b"an empty key")),
        (Some(b"a tombstone"), None),
        (Some(b"an empty value"), Some(b"")),
        (None, None),
        (Some(b"\x00\xff\xfe"), Some(b"\xc3\x28 is no text")),
    ];
    for (number, (key, value)) in cases.into_iter().enumerate() {
        let mut record = BaseRecord::with_opaque_to("empty", number);
        record.key = key;
        record.payload = value;
        send::<[u8], [u8]>(&producer, record);
    }
    assert_eq!(settle(&producer), in_order(cases.len()));
    let messages = site.read("empty");
    let found: Vec<_> = messages.iter().map(|m| (m.key(), m.payload())).collect();
    assert_eq!(found, cases);
    site.stop();
}

/// The broker's default limit is Kafka's: 1,048,588 bytes for a batch. The client's own is lower:
/// with all that goes around it, a message has at most 1,000,000.
#[tokio::test]
async fn messages_of_a_megabyte_fit_the_default_limits() {
    let site = Site::start();
    site.create_topic("large", 1, &[]).await;
    let mut random = StdRng::seed_from_u64(1);
    let megabyte: Vec<u8> = (0..1_000_000).map(|_| random.random()).collect();
    let producer = site.producer(&[("message.max.bytes", "1048588")]);
    for number in 0..3 {
        let record: BaseRecord<'_, [u8], _, _> = BaseRecord::with_opaque_to("large", number);
        send(&producer, record.payload(&megabyte[..]));
    }
    assert_eq!(settle(&producer), in_order(3));
    let messages = site.read("large");
    assert_eq!(messages.len(), 3);
    for message in messages {
        assert!(
            message.payload() == Some(&megabyte[..]),
            "the bytes have changed"
        );
    }
    site.stop();
}

/// The limit counts the batch, to the byte.
#[tokio::test]
async fn a_batch_above_the_topics_limit_is_refused() {
    /// 61 bytes of the batch's header, 3 for the record's length, and 8 of its own: attributes,
    /// timestamp, offset, no key, the value's length (3), no headers.
    const AROUND_THE_VALUE: usize = 72;
    const LIMIT: usize = 1_048_588;
    let site = Site::start();
    site.create_topic("limited", 1, &[]).await;
    let producer = site.producer(&[("message.max.bytes", "2000000")]);
    let fits = vec![b'x'; LIMIT - AROUND_THE_VALUE];
    let too_large = vec![b'x'; fits.len() + 1];
    for (number, value) in [&fits, &too_large, &fits].into_iter().enumerate() {
        let record: BaseRecord<'_, [u8], _, _> = BaseRecord::with_opaque_to("limited", number);
        send(&producer, record.payload(&value[..]));
        settle(&producer);
    }
    let expected = [
        Ok((0, 0)),
        Err(RDKafkaErrorCode::MessageSizeTooLarge),
        Ok((0, 1)),
    ];
    assert_eq!(settle(&producer), expected);
    assert_eq!(site.read("limited").len(), 2);
    site.stop();
}
