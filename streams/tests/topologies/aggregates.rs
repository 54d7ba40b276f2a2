use tidemark_streams::testing::TestDriver;
use tidemark_streams::{StreamsBuilder, StreamsError};

#[test]
fn words_are_counted_across_a_repartition_topic() -> Result<(), StreamsError> {
    let builder = StreamsBuilder::new();
    builder
        .stream::<(), String>("text")
        .flat_map_values(|line| line.split(' ').map(str::to_owned).collect::<Vec<_>>())
        .group_by(|_, word| word.clone())
        .count()
        .to_stream()
        .to("word_counts");
    let mut driver = TestDriver::new(&builder.build()?);
    driver.partitions("text", 3);
    driver.pipe("text", (), "to be or not to be".to_owned(), 5)?;
    driver.pipe("text", (), "be".to_owned(), 3)?;
    let counts = driver.read::<String, i64>("word_counts")?;
    let mut counts: Vec<_> = counts
        .into_iter()
        .map(|r| (r.key, r.value, r.timestamp))
        .collect();
    counts.sort();
    let expected = [
        ("be", 1, 5),
        ("be", 2, 5),
        ("be", 3, 5),
        ("not", 1, 5),
        ("or", 1, 5),
        ("to", 1, 5),
        ("to", 2, 5),
    ];
    let expected = expected.map(|(word, count, time)| (word.to_owned(), count, time));
    assert_eq!(counts, expected);
    driver.restart()?;
    driver.pipe("text", (), "be".to_owned(), 9)?;
    let more = driver.read::<String, i64>("word_counts")?;
    assert_eq!((more[0].value, more[0].timestamp), (4, 9));
    Ok(())
}
