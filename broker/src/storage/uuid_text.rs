//! UUIDs as Kafka writes them: 22 characters of URL-safe base64 without padding (`Uuid.java`).

use uuid::Uuid;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
/// 128 bits in groups of 6, the last one padded with 4 zero bits.
const LENGTH: usize = 22;

/// The text form, such as `AAAAAAAAAAAAAAAAAAAAAQ`.
pub fn uuid_to_text(id: Uuid) -> String {
    let bits = id.as_u128();
    (0..LENGTH)
        .map(|index| {
            let six = match u32::try_from(index).unwrap_or(0) {
                21 => bits << 4,
                group => bits >> (122 - 6 * group),
            };
            char::from(ALPHABET[(six & 0x3f) as usize])
        })
        .collect()
}

/// The UUID a text stands for; `None` if it is not such a text.
pub fn uuid_from_text(text: &str) -> Option<Uuid> {
    if text.len() != LENGTH {
        return None;
    }
    let mut bits = 0u128;
    for (index, byte) in text.bytes().enumerate() {
        let six = ALPHABET.iter().position(|known| *known == byte)? as u128;
        if index + 1 < LENGTH {
            bits = (bits << 6) | six;
        } else if six & 0xf == 0 {
            bits = (bits << 2) | (six >> 4);
        } else {
            return None;
        }
    }
    Some(Uuid::from_u128(bits))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn text_forms_are_kafkas() {
        let check = |bits: u128, text: &str| {
            assert_eq!(uuid_to_text(Uuid::from_u128(bits)), text);
            assert_eq!(uuid_from_text(text), Some(Uuid::from_u128(bits)));
        };
        check(0, "AAAAAAAAAAAAAAAAAAAAAA");
        check(1, "AAAAAAAAAAAAAAAAAAAAAQ");
        check(u128::MAX, "_____________________w");
        check(
            0x0001_0203_0405_0607_0809_0a0b_0c0d_0e0f,
            "AAECAwQFBgcICQoLDA0ODw",
        );
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            "AAAAAAAAAAAAAAAAAAAAA",
            "AAAAAAAAAAAAAAAAAAAAAR",
            "AAAAAAAAAAAAAAAAAAA+AA",
        ] {
            assert_eq!(uuid_from_text(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_uuid_comes_back(bits: u128) {
            let id = Uuid::from_u128(bits);
            prop_assert_eq!(uuid_from_text(&uuid_to_text(id)), Some(id));
        }
    }
}
