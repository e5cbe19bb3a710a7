//! A password under the server's RSA key, for sha2 logins on a channel that others can read.
//!
//! The key comes from the server, so nothing about it is believed: mysql_common's own reader panics on a bad one.

use std::io;

use mysql_common::crypto::rsa::{GetRandom, Pkcs1OaepPadding, PublicKey};
use mysql_common::num_bigint::BigUint;
use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::pki_types::pem::PemObject;
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey as AnyKey;
use x509_parser::x509::SubjectPublicKeyInfo;

use super::packets::malformed;

/// Servers make keys of 2048 bits. Much larger ones would keep us busy for long.
const BITS: std::ops::RangeInclusive<u64> = 1024..=8192;

/// What OAEP takes of a block: two hashes of 20 bytes, and two bytes.
const PADDING: usize = 42;

/// Encrypts the password, its end marked by a zero and mixed with the challenge, with the server's key.
pub(super) fn encrypt(password: &str, nonce: &[u8], pem: &[u8]) -> io::Result<Vec<u8>> {
    let key = read(pem).ok_or_else(|| malformed("the server's RSA key cannot be read"))?;
    let mut clear: Vec<u8> = password.bytes().chain([0]).collect();
    if key.num_octets() < clear.len() + PADDING {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the password is too long for the server's RSA key"));
    }
    for (byte, mask) in clear.iter_mut().zip(nonce.iter().cycle()) {
        *byte ^= mask;
    }
    Ok(key.encrypt_block(clear, Pkcs1OaepPadding::new(GetRandom)))
}

fn read(pem: &[u8]) -> Option<PublicKey> {
    let der = SubjectPublicKeyInfoDer::from_pem_slice(pem).ok()?;
    let (_, info) = SubjectPublicKeyInfo::from_der(&der).ok()?;
    let AnyKey::RSA(key) = info.parsed().ok()? else { return None };
    let (modulus, exponent) = (BigUint::from_bytes_be(key.modulus), BigUint::from_bytes_be(key.exponent));
    (BITS.contains(&modulus.bits()) && (2..=64).contains(&exponent.bits())).then(|| PublicKey::new(modulus, exponent))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &[u8] = b"-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA
-----END PUBLIC KEY-----
";

    #[test]
    fn a_bad_key_is_an_error_and_no_panic() {
        for pem in [&b""[..], b"-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----\n", b"\0\xff", KEY] {
            assert_eq!(encrypt("secret", b"nonce", pem).expect_err("a bad key").kind(), io::ErrorKind::InvalidData);
        }
    }
}
