//! Public keys, parsed once, each with its family and strong enough to be used.

use std::{borrow::Cow, fmt};

use super::algorithm::Algorithm;
use crate::{json::Object, token::Grounds};
use aws_lc_rs::{
    rsa::{PublicKey as RsaPublicKey, PublicKeyComponents},
    signature::{self, ParsedPublicKey},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

/// A curve of NIST, with the one algorithm that goes with it (RFC 7518 §3.4).
struct Curve {
    name: &'static str,
    algorithm: Algorithm,
    verification: &'static signature::EcdsaVerificationAlgorithm,
    /// Of a coordinate, in bytes.
    length: usize,
    /// What stands before the point in a SubjectPublicKeyInfo; the same for every key of the curve.
    der: &'static [u8],
}

const CURVES: [Curve; 3] = [
    Curve {
        name: "P-256",
        algorithm: Algorithm::ES256,
        verification: &signature::ECDSA_P256_SHA256_FIXED,
        length: 32,
        der: b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00\x04",
    },
    Curve {
        name: "P-384",
        algorithm: Algorithm::ES384,
        verification: &signature::ECDSA_P384_SHA384_FIXED,
        length: 48,
        der: b"\x30\x76\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x22\x03\x62\x00\x04",
    },
    Curve {
        name: "P-521",
        algorithm: Algorithm::ES512,
        verification: &signature::ECDSA_P521_SHA512_FIXED,
        length: 66,
        der: b"\x30\x81\x9b\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x23\x03\x81\x86\x00\x04",
    },
];

/// What stands before an Ed25519 key in a SubjectPublicKeyInfo (RFC 8410 §4).
const ED25519: &[u8] = b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00";

/// A key that verifies signatures.
pub(crate) struct VerifyingKey {
    kid: Option<String>,
    /// For whom it signs, where one set has the keys of several issuers; not a member of RFC 7517.
    issuer: Option<String>,
    /// The numbers that make the key.
    material: Vec<u8>,
    /// One parsed form for each algorithm the key may be used with.
    parsed: Vec<(Algorithm, ParsedPublicKey)>,
    /// What is remembered of the tokens it has verified rests on these.
    grounds: Grounds,
}

impl VerifyingKey {
    /// Reads a JWK (RFC 7517), or says why it cannot be used.
    pub(super) fn from_jwk(json: &str) -> Result<Self, &'static str> {
        let jwk = Object::parse(json.as_bytes()).map_err(|_| "it is not one JSON object without repeated members")?;
        let text = |name: &str| jwk.text(name).map_err(|_| "a member is not a string");
        if ["d", "p", "q", "dp", "dq", "qi", "oth", "k"]
            .into_iter()
            .any(|member| jwk.has(member))
        {
            return Err("it has private members");
        }
        if text("use")?.is_some_and(|intended| intended != "sig") {
            return Err("its `use` is not `sig`");
        }
        if let Some(operations) = jwk.get("key_ops") {
            let operations: Vec<String> =
                serde_json::from_str(operations.get()).map_err(|_| "its `key_ops` is not a list of strings")?;
            if !operations.iter().any(|operation| operation == "verify") {
                return Err("its `key_ops` lacks `verify`");
            }
        }
        let bytes = |name: &str| -> Result<Vec<u8>, &'static str> {
            let encoded = text(name)?.ok_or("a member is missing")?;
            URL_SAFE_NO_PAD
                .decode(&*encoded)
                .map_err(|_| "a member is not base64url")
        };
        let mut key = match (text("kty")?.as_deref(), text("crv")?.as_deref()) {
            (Some("RSA"), _) => Self::rsa(&bytes("n")?, &bytes("e")?),
            (Some("EC"), Some(name)) => {
                let curve = CURVES
                    .iter()
                    .find(|curve| curve.name == name)
                    .ok_or("its curve is unknown")?;
                Self::ec(curve, &bytes("x")?, &bytes("y")?)
            }
            (Some("OKP"), Some("Ed25519")) => Self::ed25519(&bytes("x")?),
            _ => Err("its kind is unknown"),
        }?;
        if let Some(alg) = text("alg")? {
            let only = Algorithm::named(&alg).ok_or("its `alg` is not a known signature algorithm")?;
            key.parsed.retain(|(algorithm, _)| *algorithm == only);
            if key.parsed.is_empty() {
                return Err("its `alg` does not go with its kind");
            }
        }
        key.kid = text("kid")?.map(Cow::into_owned);
        // Of the wrong type it names nobody, and is enough for no tenant.
        key.issuer = jwk.text("issuer").ok().flatten().map(Cow::into_owned);
        Ok(key)
    }

    /// Reads a SubjectPublicKeyInfo (RFC 5280 §4.1), or a PKCS#1 public key, in DER.
    pub(crate) fn from_der(der: &[u8]) -> Result<Self, &'static str> {
        for curve in &CURVES {
            if let Some(point) = der.strip_prefix(curve.der) {
                let (x, y) = point
                    .split_at_checked(point.len() / 2)
                    .ok_or("its point is too short")?;
                return Self::ec(curve, x, y);
            }
        }
        if let Some(x) = der.strip_prefix(ED25519) {
            return Self::ed25519(x);
        }
        let rsa =
            RsaPublicKey::from_der(der).map_err(|_| "it is not an RSA, P-256, P-384, P-521 or Ed25519 public key")?;
        Self::rsa(
            rsa.modulus().big_endian_without_leading_zero(),
            rsa.exponent().big_endian_without_leading_zero(),
        )
    }

    fn rsa(n: &[u8], e: &[u8]) -> Result<Self, &'static str> {
        let (n, e) = (without_leading_zeros(n), without_leading_zeros(e));
        let bits = n.len() * 8 - n.first().map_or(0, |first| first.leading_zeros() as usize);
        if !(2048..=8192).contains(&bits) {
            return Err("its modulus does not have 2048 to 8192 bits");
        }
        // An even exponent is none, 1 makes every message its own signature, and a huge one costs time.
        let odd = e.last().is_some_and(|last| last % 2 == 1);
        if !odd || e == [1] || e.len() > 4 {
            return Err("its exponent is not odd, from 3 to 2^32");
        }
        let mut parsed = Vec::new();
        for algorithm in Algorithm::ALL {
            if let Some(parameters) = algorithm.rsa() {
                let components = PublicKeyComponents { n, e };
                let key = components
                    .to_parsed_public_key(parameters)
                    .map_err(|_| "it is not an RSA key")?;
                parsed.push((algorithm, key));
            }
        }
        // The length of one number, so that no other pair is written the same.
        let material = [&n.len().to_be_bytes(), n, e].concat();
        Ok(Self::of(material, parsed))
    }

    fn ec(curve: &Curve, x: &[u8], y: &[u8]) -> Result<Self, &'static str> {
        // RFC 7518 §6.2.1.2: the coordinates have the full length of the curve.
        if x.len() != curve.length || y.len() != curve.length {
            return Err("its coordinates do not have the length of its curve");
        }
        let point = [&[4], x, y].concat();
        let key = ParsedPublicKey::new(curve.verification, &point).map_err(|_| "its point is not on its curve")?;
        Ok(Self::of(point, vec![(curve.algorithm, key)]))
    }

    fn ed25519(x: &[u8]) -> Result<Self, &'static str> {
        let point: &[u8; 32] = x.try_into().map_err(|_| "it does not have 32 bytes")?;
        if is_small_order(point) {
            return Err("its point has a small order");
        }
        let key = ParsedPublicKey::new(&signature::ED25519, point).map_err(|_| "its point is not on its curve")?;
        Ok(Self::of(point.to_vec(), vec![(Algorithm::EdDSA, key)]))
    }

    fn of(material: Vec<u8>, parsed: Vec<(Algorithm, ParsedPublicKey)>) -> Self {
        Self {
            kid: None,
            issuer: None,
            material,
            parsed,
            grounds: Grounds::default(),
        }
    }

    pub(super) fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    pub(crate) fn grounds(&self) -> &Grounds {
        &self.grounds
    }

    /// Whether both verify the same signatures of the same tokens.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        let algorithms =
            |key: &'_ Self| -> Vec<Algorithm> { key.parsed.iter().map(|(algorithm, _)| *algorithm).collect() };
        (&self.kid, &self.issuer, &self.material) == (&other.kid, &other.issuer, &other.material)
            && algorithms(self) == algorithms(other)
    }

    pub(crate) fn issuer(&self) -> Option<&str> {
        self.issuer.as_deref()
    }

    pub(super) fn fits(&self, algorithm: Algorithm) -> bool {
        self.parsed.iter().any(|(of_key, _)| *of_key == algorithm)
    }

    pub(crate) fn verify(&self, algorithm: Algorithm, signed: &[u8], signature: &[u8]) -> bool {
        let parsed = self.parsed.iter().find(|(of_key, _)| *of_key == algorithm);
        parsed.is_some_and(|(_, key)| key.verify_sig(signed, signature).is_ok())
    }
}

fn without_leading_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    number.get(zeros..).unwrap_or_default()
}

/// Whether a point of Ed25519 lies in the subgroup of order 8, for which signatures of any message can be made up.
///
/// The y coordinates are those of the eight points, and their spellings beyond the field's prime (2^255 - 19).
fn is_small_order(point: &[u8; 32]) -> bool {
    const fn low(first: u8) -> [u8; 32] {
        let mut y = [0; 32];
        y[0] = first;
        y
    }
    const fn near_prime(first: u8) -> [u8; 32] {
        let mut y = [0xff; 32];
        y[0] = first;
        y[31] = 0x7f;
        y
    }
    const ORDER_8: [u8; 32] = [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5, 0xdf,
        0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
    ];
    const ORDER_8_NEGATIVE: [u8; 32] = [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a, 0x20,
        0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
    ];
    let mut y = *point;
    if let Some(last) = y.last_mut() {
        // The highest bit is the sign of x.
        *last &= 0x7f;
    }
    [
        low(0),
        low(1),
        near_prime(0xec),
        near_prime(0xed),
        near_prime(0xee),
        ORDER_8,
        ORDER_8_NEGATIVE,
    ]
    .contains(&y)
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let algorithms: Vec<_> = self.parsed.iter().map(|(algorithm, _)| algorithm.name()).collect();
        f.debug_struct("VerifyingKey")
            .field("kid", &self.kid)
            .field("algorithms", &algorithms)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::STANDARD;
    use serde_json::{Value, json};

    use super::*;

    /// RFC 7515 A.2: the key, what was signed with it, and the signature.
    const RSA_N: &str = "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ";
    const RSA_SIGNED: &str = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    const RSA_SIGNATURE: &str = "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";
    /// RFC 7515 A.3.
    const EC_X: &str = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU";
    const EC_Y: &str = "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0";
    const EC_SIGNED: &str = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    const EC_SIGNATURE: &str = "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
    /// RFC 8037 A.2 and A.4.
    const ED_X: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
    const ED_SIGNED: &str = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
    const ED_SIGNATURE: &str = "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";

    fn rsa() -> Value {
        json!({ "kty": "RSA", "n": RSA_N, "e": "AQAB" })
    }

    fn ec() -> Value {
        json!({ "kty": "EC", "crv": "P-256", "x": EC_X, "y": EC_Y })
    }

    fn ed() -> Value {
        json!({ "kty": "OKP", "crv": "Ed25519", "x": ED_X })
    }

    fn with(mut jwk: Value, member: &str, value: Value) -> Value {
        jwk[member] = value;
        jwk
    }

    fn key(jwk: &Value) -> Result<VerifyingKey, &'static str> {
        VerifyingKey::from_jwk(&jwk.to_string())
    }

    fn bytes(encoded: &str) -> Vec<u8> {
        URL_SAFE_NO_PAD.decode(encoded).unwrap()
    }

    #[test]
    fn the_examples_of_rfc_7515_and_rfc_8037_verify() {
        for (jwk, algorithm, signed, signature) in [
            (rsa(), Algorithm::RS256, RSA_SIGNED, RSA_SIGNATURE),
            (ec(), Algorithm::ES256, EC_SIGNED, EC_SIGNATURE),
            (ed(), Algorithm::EdDSA, ED_SIGNED, ED_SIGNATURE),
        ] {
            let key = key(&jwk).unwrap();
            assert!(
                key.verify(algorithm, signed.as_bytes(), &bytes(signature)),
                "{algorithm:?}"
            );
            assert!(
                !key.verify(algorithm, b"something else", &bytes(signature)),
                "{algorithm:?}"
            );
        }
    }

    #[test]
    fn a_key_verifies_for_its_own_family_only() {
        let rsa = key(&rsa()).unwrap();
        assert!(rsa.fits(Algorithm::RS512) && rsa.fits(Algorithm::PS256));
        assert!(!rsa.fits(Algorithm::ES256) && !rsa.fits(Algorithm::EdDSA));
        assert!(!key(&ec()).unwrap().fits(Algorithm::ES384));
        assert!(!rsa.verify(Algorithm::PS256, RSA_SIGNED.as_bytes(), &bytes(RSA_SIGNATURE)));
    }

    #[test]
    fn a_jwks_own_alg_pins_it_to_that_algorithm() {
        let pinned = key(&with(rsa(), "alg", json!("RS256"))).unwrap();
        assert!(pinned.fits(Algorithm::RS256) && !pinned.fits(Algorithm::RS512) && !pinned.fits(Algorithm::PS256));
        for foreign in ["ES256", "RSA-OAEP", "HS256", "none"] {
            assert!(key(&with(rsa(), "alg", json!(foreign))).is_err(), "{foreign}");
        }
        assert!(key(&with(ed(), "alg", json!("Ed25519"))).is_ok());
    }

    #[test]
    fn a_key_that_is_not_for_verifying_is_refused() {
        for (member, value) in [
            ("use", json!("enc")),
            ("use", json!(1)),
            ("key_ops", json!(["encrypt"])),
            ("key_ops", json!("verify")),
            ("d", json!("AQAB")),
            ("k", json!("AQAB")),
            ("kty", json!("oct")),
            ("kty", json!("AKP")),
            ("kid", json!(1)),
            ("n", json!("not base64!")),
        ] {
            assert!(key(&with(rsa(), member, value.clone())).is_err(), "{member}: {value}");
        }
        assert!(key(&with(rsa(), "use", json!("sig"))).is_ok());
        assert!(key(&with(rsa(), "key_ops", json!(["verify", "sign"]))).is_ok());
    }

    #[test]
    fn a_weak_rsa_key_is_refused() {
        let modulus = |bytes: usize| URL_SAFE_NO_PAD.encode([&[0x80], vec![1; bytes - 1].as_slice()].concat());
        assert!(key(&with(rsa(), "n", json!(modulus(256)))).is_ok());
        for bytes in [128, 255, 1025] {
            assert!(key(&with(rsa(), "n", json!(modulus(bytes)))).is_err(), "{bytes}");
        }
        let padded = URL_SAFE_NO_PAD.encode([&[0; 128], vec![0x81; 128].as_slice()].concat());
        assert!(key(&with(rsa(), "n", json!(padded))).is_err());
        for exponent in ["AQ", "Ag", "AAAB", "", "BAAAAAE"] {
            assert!(key(&with(rsa(), "e", json!(exponent))).is_err(), "{exponent}");
        }
        assert!(key(&with(rsa(), "e", json!("AAEAAQ"))).is_ok());
        assert!(key(&with(rsa(), "e", json!("Aw"))).is_ok());
    }

    #[test]
    fn a_point_off_the_curve_or_of_another_length_is_refused() {
        assert!(key(&with(ec(), "y", json!(EC_X))).is_err());
        assert!(key(&with(ec(), "x", json!(URL_SAFE_NO_PAD.encode([0; 31])))).is_err());
        assert!(key(&with(ec(), "crv", json!("P-384"))).is_err());
        assert!(key(&with(ec(), "crv", json!("secp256k1"))).is_err());
        assert!(key(&with(ed(), "x", json!(EC_X.to_owned() + "AA"))).is_err());
    }

    #[test]
    fn a_small_order_point_is_refused() {
        for hex in [
            "0000000000000000000000000000000000000000000000000000000000000000",
            "0000000000000000000000000000000000000000000000000000000000000080",
            "0100000000000000000000000000000000000000000000000000000000000000",
            "0100000000000000000000000000000000000000000000000000000000000080",
            "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
            "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
            "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
            "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
            "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
        ] {
            let point: Vec<u8> = (0..32)
                .map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap())
                .collect();
            let jwk = with(ed(), "x", json!(URL_SAFE_NO_PAD.encode(point)));
            assert_eq!(key(&jwk).err(), Some("its point has a small order"), "{hex}");
        }
    }

    #[test]
    fn a_signature_of_zeros_or_in_der_is_refused() {
        let ec = key(&ec()).unwrap();
        assert!(!ec.verify(Algorithm::ES256, EC_SIGNED.as_bytes(), &[0; 64]));
        assert!(!ec.verify(Algorithm::ES256, EC_SIGNED.as_bytes(), &[]));
        let (r, s) = (&bytes(EC_SIGNATURE)[..32], &bytes(EC_SIGNATURE)[32..]);
        let der = [&[0x30, 0x45, 0x02, 0x20], r, &[0x02, 0x21, 0x00], s].concat();
        assert!(!ec.verify(Algorithm::ES256, EC_SIGNED.as_bytes(), &der));
    }

    #[test]
    fn der_is_read_for_every_kind() {
        // Made with `openssl pkey -pubout -outform DER`, encoded in base64.
        let ec = [CURVES[0].der, &bytes(EC_X), &bytes(EC_Y)].concat();
        assert!(VerifyingKey::from_der(&ec).unwrap().verify(
            Algorithm::ES256,
            EC_SIGNED.as_bytes(),
            &bytes(EC_SIGNATURE)
        ));
        let ed = [ED25519, &bytes(ED_X)].concat();
        assert!(VerifyingKey::from_der(&ed).unwrap().verify(
            Algorithm::EdDSA,
            ED_SIGNED.as_bytes(),
            &bytes(ED_SIGNATURE)
        ));
        // RFC 8410 §10.1.
        let example = STANDARD
            .decode("MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=")
            .unwrap();
        assert!(VerifyingKey::from_der(&example).is_ok());
        for bad in [b"".as_slice(), b"\x30\x00", ED25519, CURVES[0].der] {
            assert!(VerifyingKey::from_der(bad).is_err());
        }
    }
}
