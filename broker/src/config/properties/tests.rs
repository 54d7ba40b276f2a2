use super::*;

fn check(text: &str, expected: &[(&str, &str, usize)]) {
    let found = parse(text).expect(text);
    let found: Vec<(&str, &str, usize)> = found
        .iter()
        .map(|p| (p.key.as_str(), p.value.as_str(), p.line))
        .collect();
    assert_eq!(found, expected, "{text:?}");
}

fn check_error(text: &str, expected: &str) {
    assert_eq!(parse(text).expect_err(text).to_string(), expected);
}

#[test]
fn separators() {
    check("a=b", &[("a", "b", 1)]);
    check("a = b", &[("a", "b", 1)]);
    check("a:b", &[("a", "b", 1)]);
    check("a : b", &[("a", "b", 1)]);
    check("a b", &[("a", "b", 1)]);
    check("a\tb c", &[("a", "b c", 1)]);
    check("a==b", &[("a", "=b", 1)]);
    check("a = = b", &[("a", "= b", 1)]);
    check("a", &[("a", "", 1)]);
    check("a=", &[("a", "", 1)]);
    check("  a=b  ", &[("a", "b  ", 1)]);
    check(
        "listeners=PLAINTEXT://:9092",
        &[("listeners", "PLAINTEXT://:9092", 1)],
    );
}

#[test]
fn comments_and_blank_lines() {
    check("# a=b\n ! c=d\n\n \t\ne=f#g", &[("e", "f#g", 5)]);
    check("#a \\\nb=c", &[("b", "c", 2)]);
    check("", &[]);
}

#[test]
fn line_ends() {
    check(
        "a=1\nb=2\r\nc=3\rd=4",
        &[("a", "1", 1), ("b", "2", 2), ("c", "3", 3), ("d", "4", 4)],
    );
    check("\u{feff}a=1", &[("a", "1", 1)]);
    check("a=1\na=2", &[("a", "1", 1), ("a", "2", 2)]);
}

#[test]
fn continuations() {
    check(
        "a=b,\\\n   c,\\\n\td\ne=f",
        &[("a", "b,c,d", 1), ("e", "f", 4)],
    );
    check("a=b\\\\\nc=d", &[("a", "b\\", 1), ("c", "d", 2)]);
    check("a=b\\", &[("a", "b", 1)]);
    check("a\\\n=b", &[("a", "b", 1)]);
    check("\\\na=b", &[("a", "b", 1)]);
    check("a=b\\\n#c", &[("a", "b#c", 1)]);
    check("a=b\\\r\n c", &[("a", "bc", 1)]);
    check("\\\n", &[]);
}

#[test]
fn escapes() {
    check("a=\\t\\n\\r\\f", &[("a", "\t\n\r\x0c", 1)]);
    check("a\\=b\\ c\\:d=e", &[("a=b c:d", "e", 1)]);
    check("a=C:\\\\data", &[("a", "C:\\data", 1)]);
    check("a=\\q", &[("a", "q", 1)]);
    check("a=\\u00e9\\u20AC", &[("a", "é€", 1)]);
    check("a=\\ud83d\\ude00!", &[("a", "😀!", 1)]);
    check("a=é", &[("a", "é", 1)]);
    check("a=\\u0000", &[("a", "\0", 1)]);
}

#[test]
fn mistakes_have_line_numbers() {
    let hex = "four hexadecimal digits must follow";
    check_error(
        "a=b\nc=\\u12",
        &format!("line 2: malformed escape \\u12: {hex}"),
    );
    check_error(
        "c=\\u+123",
        &format!("line 1: malformed escape \\u+123: {hex}"),
    );
    check_error(
        "a=\\\n\\\n\\u12é4",
        &format!("line 1: malformed escape \\u12é4: {hex}"),
    );
    check_error(
        "a=\\ud83dx",
        "line 1: escape \\ud83d is half of a character",
    );
    check_error("\n=b", "line 2: '=b' has no key before the separator");
    check_error(": b", "line 1: ': b' has no key before the separator");
}

proptest::proptest! {
    #[test]
    fn no_text_panics(text in "([a=:# \\\\u0-9dé!\n\r\t]{0,6}){0,20}|(?s:.{0,60})") {
        let _ = parse(&text);
    }

    /// Whatever the key and the value are, escaped they come back.
    #[test]
    fn escaped_text_comes_back(key in "(?s:.{1,20})", value in "(?s:.{0,20})") {
        let escape = |text: &str| -> String {
            text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect()
        };
        let found = parse(&format!("{}={}", escape(&key), escape(&value)));
        proptest::prop_assert_eq!(found, Ok(vec![Property { key, value, line: 1 }]));
    }
}
