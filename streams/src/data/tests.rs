use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::record::Change;
use crate::time::{Window, Windowed};

fn check<T: Data + PartialEq + std::fmt::Debug>(value: T, expected: Option<&[u8]>) {
    let bytes = encode_vec(&value).unwrap();
    assert_eq!(bytes.as_deref(), expected);
    assert_eq!(value.is_null(), expected.is_none());
    assert_eq!(decode_slice::<T>(bytes.as_deref()).unwrap(), value);
}

fn refuse<T: Data + std::fmt::Debug>(bytes: Option<&[u8]>, reason: &str) {
    let error = decode_slice::<T>(bytes).unwrap_err();
    assert!(error.to_string().contains(reason), "{error}");
}

#[test]
fn bytes_are_kafkas() {
    check("login".to_owned(), Some(b"login"));
    check(Bytes::from_static(b""), Some(b""));
    check(vec![1_u8, 2], Some(&[1, 2]));
    check(-2_i64, Some(&[255, 255, 255, 255, 255, 255, 255, 254]));
    check(7_i32, Some(&[0, 0, 0, 7]));
    check(1.5_f64, Some(&[0x3f, 0xf8, 0, 0, 0, 0, 0, 0]));
    check(-2_i8, Some(&[254]));
    check(254_u8, Some(&[254]));
    check(true, Some(&[1]));
    // Nothing to write, but a value that can be counted.
    assert_eq!(encode_vec(&()).unwrap(), None);
    assert!(!().is_null());
    check(
        Change::<()> {
            new: Some(()),
            old: None,
        },
        Some(&[1]),
    );
    check(None::<i32>, None);
    check(Some(7_i32), Some(&[0, 0, 0, 7]));
    check(Json(vec![1, 2]), Some(b"[1,2]"));
    let change = |new, old| Change::<i16> { new, old };
    check(change(None, None), Some(&[0]));
    check(change(Some(7), None), Some(&[1, 0, 7]));
    check(change(None, Some(8)), Some(&[2, 0, 8]));
    check(change(Some(7), Some(8)), Some(&[3, 0, 0, 0, 2, 0, 7, 0, 8]));
    let windowed = Windowed {
        key: "k".to_owned(),
        window: Window { start: 1, end: 2 },
    };
    let mut bytes = b"k".to_vec();
    bytes.extend([0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 1]);
    check(windowed, Some(&bytes));
}

#[test]
fn what_does_not_fit_is_refused() {
    refuse::<String>(None, "null where a string");
    refuse::<String>(Some(&[0xff]), "not UTF-8");
    refuse::<u8>(Some(&[1, 2]), "2 bytes where a number of 1 byte");
    refuse::<i64>(Some(&[1]), "1 bytes where a number of 8 bytes");
    refuse::<bool>(Some(&[2]), "not a byte that is 0 or 1");
    refuse::<Json<i32>>(Some(b"{"), "not the JSON");
    refuse::<Change<String>>(None, "null where a change");
    refuse::<Change<String>>(Some(&[]), "ends early");
    refuse::<Change<String>>(Some(&[3, 0, 0, 0, 9, 1]), "ends early");
    refuse::<Change<String>>(Some(&[4]), "unknown kind");
    refuse::<Windowed<String>>(Some(b"short"), "a key with a window");
    refuse::<Windowed<String>>(
        Some(&[0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2]),
        "ends before",
    );
}

proptest! {
    #[test]
    fn whatever_comes_is_read_or_refused(bytes in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..40))) {
        let bytes = bytes.as_deref();
        let _ = decode_slice::<String>(bytes);
        let _ = decode_slice::<Json<serde_json::Value>>(bytes);
        let _ = decode_slice::<Change<String>>(bytes);
        if let Ok(windowed) = decode_slice::<Windowed<Vec<u8>>>(bytes) {
            let again = encode_vec(&windowed).unwrap();
            prop_assert_eq!(again.as_deref(), bytes);
        }
    }
}

#[test]
fn people_are_shown_what_they_would_write() {
    fn shown<T: Data + PartialEq + std::fmt::Debug>(value: T, text: &str, json: &str) {
        assert_eq!(value.to_json().to_string(), json);
        assert_eq!(T::from_text(text).unwrap(), value);
    }
    shown("login".to_owned(), "login", "\"login\"");
    shown(-7_i64, "-7", "-7");
    shown(
        u128::MAX,
        &u128::MAX.to_string(),
        "\"340282366920938463463374607431768211455\"",
    );
    shown(1.5_f64, "1.5", "1.5");
    shown(true, "true", "true");
    shown(Some(3_u16), "3", "3");
    shown(Bytes::from_static(b"ab"), "YWI=", "\"YWI=\"");
    shown(Json("x y".to_owned()), "x y", "\"x y\"");
    shown(Json(vec![1, 2]), "[1,2]", "[1,2]");
    let window = Window { start: -5, end: 9 };
    let key = "a@b".to_owned();
    let json = "{\"key\":\"a@b\",\"window\":{\"end\":9,\"start\":-5}}";
    shown(Windowed { key, window }, "a@b@-5/9", json);
    assert_eq!(().to_json(), serde_json::Value::Null);
    assert_eq!(f64::NAN.to_json(), "NaN");
    assert!(i32::from_text("x").is_err());
    assert!(Bytes::from_text("?").is_err());
    assert!(Windowed::<String>::from_text("a@5").is_err());
}

proptest! {
    #[test]
    fn numbers_are_in_their_own_order(a: i64, b: i64, c: f64, d: f64) {
        prop_assert_eq!(i64::order(&a.to_be_bytes(), &b.to_be_bytes()), a.cmp(&b));
        prop_assert_eq!(f64::order(&c.to_be_bytes(), &d.to_be_bytes()), c.total_cmp(&d));
    }
}
