//! How often each word is in lines of text.

use unicode_properties::{GeneralCategoryGroup, UnicodeGeneralCategory};

use crate::record::Record;
use crate::serving::aggregate::{Aggregate, Count};
use crate::serving::view::{Keyed, View};

/// The words of a line: lower case, without what is neither letter nor number (the document's `mapper.py`).
///
/// Letters and numbers are those of Unicode's general categories L and N, as Python's `isalnum` takes them, and
/// words lie between what its `split` takes for space. Marks, vowels that some scripts write as marks among
/// them, are no letters there, and so they are none here.
pub fn words(line: &str) -> impl Iterator<Item = String> {
    let line = line.to_lowercase();
    let words: Vec<String> = line
        .split(is_space)
        .map(|word| word.chars().filter(|own| is_part(*own)).collect())
        .filter(|word: &String| !word.is_empty())
        .collect();
    words.into_iter()
}

/// Python's `str.isspace`.
fn is_space(own: char) -> bool {
    own.is_whitespace() || matches!(own, '\u{1c}'..='\u{1f}')
}

/// Python's `str.isalnum` of one character.
fn is_part(own: char) -> bool {
    if own.is_ascii() {
        return own.is_ascii_alphanumeric();
    }
    let group = own.general_category_group();
    matches!(
        group,
        GeneralCategoryGroup::Letter | GeneralCategoryGroup::Number
    )
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
        // Vowels of Devanagari are marks, a soft hyphen is none of both, and separators of old files are space.
        let text =
            "\u{939}\u{93f}\u{928}\u{94d}\u{926}\u{940} a\u{1c}b c\u{ad}d \u{bd} \u{216b} \u{24b6}";
        let found: Vec<_> = words(text).collect();
        let hindi = "\u{939}\u{928}\u{926}";
        assert_eq!(found, [hindi, "a", "b", "cd", "\u{bd}", "\u{217b}"]);
    }
}
