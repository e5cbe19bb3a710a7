//! Certificates for the servers and their clients: one good set, and the ways they go bad.

use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, date_time_ymd,
};

use super::process;

/// The certificates of this test run, as PEM files.
pub(crate) struct Tls {
    /// The authority that signed all of them but `stranger`.
    pub(crate) ca: PathBuf,
    /// The authority that signed `stranger`, and nothing else.
    pub(crate) other_ca: PathBuf,
    /// For `localhost`, `127.0.0.1` and `::1`: what every server uses unless told otherwise.
    pub(crate) server: Identity,
    /// For a client; the account `certified` asks for one.
    pub(crate) client: Identity,
    /// A server's whose time is over since 2021.
    pub(crate) expired: Identity,
    /// A server's for `elsewhere.example` only.
    pub(crate) misnamed: Identity,
    /// A server's for the right names, signed by `other_ca`.
    pub(crate) stranger: Identity,
}

pub(crate) struct Identity {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

impl Identity {
    /// The options that make a server show this certificate.
    pub(crate) fn options(&self) -> [String; 2] {
        [format!("ssl-cert={}", self.certificate.display()), format!("ssl-key={}", self.key.display())]
    }
}

/// The certificates of this test run, made when first asked for.
pub(crate) fn tls() -> &'static Tls {
    static TLS: LazyLock<Tls> = LazyLock::new(|| {
        let directory = process::directory();
        let write = |name: &str, pem: String| {
            let path = directory.join(name);
            fs::write(&path, pem).expect("our own directory is writable");
            path
        };
        let authority = |name: &str| {
            let mut params = CertificateParams::default();
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.distinguished_name.push(DnType::CommonName, name);
            let key = KeyPair::generate().expect(KEYS);
            let certificate = params.self_signed(&key).expect(KEYS);
            (write(&format!("{name}.pem"), certificate.pem()), Issuer::new(params, key))
        };
        let (ca, issuer) = authority("ca");
        let (other_ca, other_issuer) = authority("other-ca");

        let identity = |name: &str, names: &[&str], issuer: &Issuer<'_, KeyPair>, last_year: i32| {
            let names: Vec<String> = names.iter().map(|&name| name.into()).collect();
            let mut params = CertificateParams::new(names).expect(KEYS);
            params.distinguished_name.push(DnType::CommonName, name);
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
            params.not_before = date_time_ymd(2020, 1, 1);
            params.not_after = date_time_ymd(last_year, 1, 1);
            let key = KeyPair::generate().expect(KEYS);
            let certificate = params.signed_by(&key, issuer).expect(KEYS);
            Identity {
                certificate: write(&format!("{name}.pem"), certificate.pem()),
                key: write(&format!("{name}.key"), key.serialize_pem()),
            }
        };
        let here = &["localhost", "127.0.0.1", "::1"];
        Tls {
            server: identity("server", here, &issuer, 2100),
            client: identity("client", &[], &issuer, 2100),
            expired: identity("expired", here, &issuer, 2021),
            misnamed: identity("misnamed", &["elsewhere.example"], &issuer, 2100),
            stranger: identity("stranger", here, &other_issuer, 2100),
            ca,
            other_ca,
        }
    });
    &TLS
}

const KEYS: &str = "fixed parameters make a certificate";
