//! How often each word is in lines of text.

use crate::record::Record;
use crate::serving::aggregate::{Aggregate, Count};
use crate::serving::view::{Keyed, View};

/// The words of a line: lower case, without what is neither letter nor digit (the document's `mapper.py`).
pub fn words(line: &str) -> impl Iterator<Item = String> {
    let line = line.to_lowercase();
    let words: Vec<String> = line
        .split_whitespace()
        .map(|word| word.chars().filter(|own| own.is_alphanumeric()).collect())
        .filter(|word: &String| !word.is_empty())
        .collect();
    words.into_iter()
}

/// The view `word_count` of a topic of lines, by word.
#[must_use]
pub fn word_count(topic: &str) -> View<String, impl Aggregate<Event = (), Value = u64> + use<>> {
    View::new("word_count", 1, Count::<()>::new()).source(topic, |record: Record<(), String>| {
        words(&record.value)
            .map(|word| Keyed::new(word, ()))
            .collect::<Vec<_>>()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_of_the_mapper() {
        let found: Vec<_> = words("  Hello, World! -- it's 2023\t(hello)").collect();
        assert_eq!(found, ["hello", "world", "its", "2023", "hello"]);
    }
}
