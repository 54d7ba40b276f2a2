//! The text form of topic, cluster and directory ids: base64 with the URL alphabet and no padding,
//! 22 characters (Kafka's `Uuid.toString` and `Uuid.fromString`).

use uuid::Uuid;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// How many characters 16 bytes take.
const TEXT_LENGTH: usize = 22;

/// A text that is not an id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not the base64 form of a UUID")]
pub struct InvalidUuidText(pub String);

/// The text form of an id.
pub fn to_text(id: Uuid) -> String {
    // 22 characters hold 132 bits: the 128 of the id and four zeros behind them.
    let bits = id.as_u128();
    let digit = |index: usize| {
        let shift = 122_i32 - 6 * index as i32;
        let six = if shift >= 0 {
            bits >> shift
        } else {
            bits << -shift
        };
        char::from(ALPHABET[(six & 63) as usize])
    };
    (0..TEXT_LENGTH).map(digit).collect()
}

/// The id with this text form. As in Kafka, two trailing `=` are allowed and the last four bits,
/// which hold nothing, are not looked at.
pub fn from_text(text: &str) -> Result<Uuid, InvalidUuidText> {
    let fail = || InvalidUuidText(text.chars().take(TEXT_LENGTH + 2).collect());
    let digits = text.strip_suffix("==").unwrap_or(text).as_bytes();
    let (last, first) = digits.split_last().ok_or_else(fail)?;
    if digits.len() != TEXT_LENGTH {
        return Err(fail());
    }
    let mut bits = 0_u128;
    for digit in first {
        bits = bits << 6 | value(*digit).ok_or_else(fail)?;
    }
    let last = value(*last).ok_or_else(fail)?;
    Ok(Uuid::from_u128(bits << 2 | last >> 4))
}

fn value(digit: u8) -> Option<u128> {
    ALPHABET
        .iter()
        .position(|letter| *letter == digit)
        .map(|position| position as u128)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What Apache Kafka's `Uuid` prints for these; the second is `Uuid.ONE_UUID`, the metadata
    /// log's own id, and the third is from Kafka's tests.
    const VECTORS: &[(u128, &str)] = &[
        (0, "AAAAAAAAAAAAAAAAAAAAAA"),
        (1, "AAAAAAAAAAAAAAAAAAAAAQ"),
        (
            0x517c94f6_2e40_467e_96d3_438ddad69e58,
            "UXyU9i5ARn6W00ON2taeWA",
        ),
        (
            0x32453738_4541_3537_3035_324434333642,
            "MkU3OEVBNTcwNTJENDM2Qg",
        ),
        (
            0x01234567_89ab_cdef_fedc_ba9876543210,
            "ASNFZ4mrze_-3LqYdlQyEA",
        ),
        (u128::MAX, "_____________________w"),
    ];

    #[test]
    fn published_vectors_hold() {
        for (bits, text) in VECTORS {
            let id = Uuid::from_u128(*bits);
            assert_eq!(to_text(id), *text);
            assert_eq!(from_text(text), Ok(id));
            assert_eq!(from_text(&format!("{text}==")), Ok(id));
        }
        // The id that Kafka's own guides format clusters with has bits set that hold nothing.
        assert_eq!(
            from_text("MkU3OEVBNTcwNTJENDM2Qk"),
            Ok(Uuid::from_u128(0x32453738_4541_3537_3035_324434333642))
        );
    }

    #[test]
    fn what_is_not_an_id_is_refused() {
        for text in [
            "",
            "AAAA",
            "AAAAAAAAAAAAAAAAAAAAAAA",
            "AAAAAAAAAAAAAAAAAAAAAA=",
            "AAAAAAAAAAAAAAAAAAAAAA===",
            "AAAA+AAAAAAAAAAAAAAAAA",
            "AAAA/AAAAAAAAAAAAAAAAA",
            "AAAAAAAAAAAAAAAAAAAAÄ",
            "517c94f6-2e40-467e-96d3-438ddad69e58",
        ] {
            assert!(from_text(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_id_survives_its_text(bits: u128) {
            let id = Uuid::from_u128(bits);
            prop_assert_eq!(from_text(&to_text(id)), Ok(id));
        }

        #[test]
        fn any_text_is_answered(text in "\\PC{0,30}") {
            let _ = from_text(&text);
        }
    }
}
