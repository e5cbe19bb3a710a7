//! Certificates and keys in PEM form, from a file or from the settings themselves.

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::super::files::Files;
use super::super::web_config::{Pem, Source};
use crate::config::{Mistakes, cannot_read, shown};

/// A chain: never empty.
pub(crate) fn certificates(
    pem: &Pem,
    files: &mut Files,
    mistakes: &mut Mistakes,
) -> Option<Vec<CertificateDer<'static>>> {
    let text = read(pem, files, mistakes)?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    match certificates {
        Ok(certificates) if !certificates.is_empty() => return Some(certificates),
        Ok(_) => wrong(pem, "has no certificate in PEM form; it begins with `-----BEGIN CERTIFICATE-----`", mistakes),
        Err(error) => wrong(pem, &format!("is not good PEM: {error}; write the whole file anew"), mistakes),
    }
    None
}

pub(crate) fn private_key(pem: &Pem, files: &mut Files, mistakes: &mut Mistakes) -> Option<PrivateKeyDer<'static>> {
    let text = read(pem, files, mistakes)?;
    let error = match PrivateKeyDer::from_pem_slice(&text) {
        Ok(key) => return Some(key),
        Err(error) => error,
    };
    let encrypted = text.windows(9).any(|word| word == b"ENCRYPTED");
    match error {
        _ if encrypted => {
            wrong(pem, "is encrypted, which is not supported; protect the file by its mode instead", mistakes);
        }
        pem::Error::NoItemsFound => {
            wrong(pem, "has no private key in PEM form; it begins with `-----BEGIN PRIVATE KEY-----`", mistakes);
        }
        // The error may repeat a line of the key.
        _ => wrong(pem, "is not good PEM; write the whole key anew", mistakes),
    }
    None
}

fn read(pem: &Pem, files: &mut Files, mistakes: &mut Mistakes) -> Option<Vec<u8>> {
    match &pem.source {
        Source::Inline(text) => Some(text.expose().as_bytes().to_vec()),
        Source::File(path) => match files.read(path) {
            Ok(bytes) => Some(bytes),
            Err(error) => {
                let says =
                    format!("{}; a relative path starts from the folder of this file", cannot_read(path, &error));
                mistakes.at(&pem.place, &pem.setting, says);
                None
            }
        },
    }
}

fn wrong(pem: &Pem, says: &str, mistakes: &mut Mistakes) {
    let says = match &pem.source {
        Source::File(path) => format!("{} {says}", shown(path)),
        Source::Inline(_) => says.to_owned(),
    };
    mistakes.at(&pem.place, &pem.setting, says);
}
