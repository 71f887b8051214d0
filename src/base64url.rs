//! The alphabet of JOSE (RFC 7515 §2): base64url without padding, in its one canonical spelling.

#[cfg(any(target_arch = "x86_64", all(target_arch = "aarch64", target_feature = "neon")))]
use std::sync::LazyLock;

use base64::{DecodeError, Engine as _};

/// The fastest that the processor has: every first use of a token decodes some hundred bytes.
#[cfg(any(target_arch = "x86_64", all(target_arch = "aarch64", target_feature = "neon")))]
static DECODER: LazyLock<base64::engine::Simd> =
    LazyLock::new(|| base64::engine::Simd::url_safe(base64::engine::general_purpose::NO_PAD));

#[cfg(not(any(target_arch = "x86_64", all(target_arch = "aarch64", target_feature = "neon"))))]
static DECODER: base64::engine::GeneralPurpose = base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Refuses padding, white space, other alphabets, and bits that no byte stands for.
pub(crate) fn decode(text: &str) -> Result<Vec<u8>, DecodeError> {
    DECODER.decode(text)
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_text_is_read_as_the_plain_decoder_reads_it(bytes in proptest::collection::vec(any::<u8>(), 0..200), place in any::<usize>(), other in any::<char>()) {
            let text = URL_SAFE_NO_PAD.encode(&bytes);
            prop_assert_eq!(decode(&text), Ok(bytes));
            let mut spoiled: Vec<char> = text.chars().collect();
            spoiled.insert(place % (text.len() + 1), other);
            let spoiled: String = spoiled.into_iter().collect();
            prop_assert_eq!(decode(&spoiled).ok(), URL_SAFE_NO_PAD.decode(&spoiled).ok());
        }
    }
}
