//! Whether to use TLS, and how: the modes of the mysql client, made ready once at the start.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{CipherSuite, ClientConfig, InconsistentKeys, ProtocolVersion, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::super::failure::{Failure, Phase, Reason};
use super::verifier::{Anything, Chain};
use crate::config::{Tls, TlsMode, TlsVersion};

/// What to do about TLS with one server. Cheap to clone.
#[derive(Clone, Debug)]
pub struct TlsPolicy {
    mode: TlsMode,
    /// Absent exactly when the mode is DISABLED.
    config: Option<Arc<ClientConfig>>,
    server_name: Option<ServerName<'static>>,
}

/// The system's certificate authorities: read when first needed, then shared. Whoever loads policies owns it.
#[derive(Default)]
pub struct SystemRoots {
    store: OnceLock<Result<Arc<RootCertStore>, String>>,
}

/// A setting of `tls` that will not work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsMistake {
    /// The key below `tls`.
    pub setting: &'static str,
    /// The file that it names.
    pub path: Option<PathBuf>,
    pub problem: String,
}

impl fmt::Display for TlsMistake {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "tls.{}: ", self.setting)?;
        if let Some(path) = &self.path {
            write!(out, "{}: ", path.display())?;
        }
        out.write_str(&self.problem)
    }
}

impl std::error::Error for TlsMistake {}

impl TlsPolicy {
    /// Never any TLS.
    pub fn disabled() -> TlsPolicy {
        TlsPolicy { mode: TlsMode::Disabled, config: None, server_name: None }
    }

    /// Reads the files that the settings name. The error has every mistake that is in them.
    pub fn load(tls: &Tls, system: &SystemRoots) -> Result<TlsPolicy, Vec<TlsMistake>> {
        if tls.mode == TlsMode::Disabled {
            return Ok(TlsPolicy::disabled());
        }
        let mut mistakes = Vec::new();
        let trusted = tls.ca.as_deref().and_then(|path| sift(certificates("ca", path), &mut mistakes));
        let identity = sift(identity(tls), &mut mistakes).flatten();
        let server_name = tls.server_name.as_deref().and_then(|name| sift(server_name(name), &mut mistakes));
        let provider = Arc::new(ring::default_provider());
        let chain = match verifies(tls.mode) {
            true if tls.ca.is_none() || trusted.is_some() => {
                let check_name = tls.mode == TlsMode::VerifyIdentity;
                let chain = chain(tls.ca.as_deref(), trusted.unwrap_or_default(), check_name, system, &provider);
                sift(chain, &mut mistakes)
            }
            _ => None,
        };
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        let config = client_config(tls, chain, identity, provider).map_err(|mistake| vec![mistake])?;
        Ok(TlsPolicy { mode: tls.mode, config: Some(Arc::new(config)), server_name })
    }

    /// Whether a connection to this server is to use TLS, or why there can be none.
    pub(super) fn applies(&self, offered: bool, socket: bool) -> Result<bool, Failure> {
        match self.mode {
            TlsMode::Disabled => Ok(false),
            // The mysql client leaves a socket as it is, too: nobody on a network can listen there.
            TlsMode::Preferred => Ok(offered && !socket),
            _ if socket => Err(Failure::new(Phase::Tls, Reason::TlsUnsupported, "TLS over a unix socket")
                .with_hint("nobody can listen on a unix socket; set the TLS mode to PREFERRED or DISABLED")),
            _ if offered => Ok(true),
            _ => Err(Failure::new(Phase::Tls, Reason::TlsUnsupported, "the server does not offer TLS").with_hint(
                "the server has no certificate, or a proxy in between speaks no TLS; see SHOW VARIABLES LIKE 'ssl%'",
            )),
        }
    }

    /// The TLS handshake, for the configured name or else for the host.
    pub(super) async fn handshake(&self, host: &str, tcp: TcpStream) -> std::io::Result<TlsStream<TcpStream>> {
        let config = self.config.clone().ok_or(std::io::ErrorKind::Unsupported)?;
        let name = match (&self.server_name, ServerName::try_from(host)) {
            (Some(name), _) => name.clone(),
            (None, Ok(name)) => name.to_owned(),
            // A host that the resolver takes and TLS does not. Nothing depends on it but the name's check.
            (None, Err(_)) => ServerName::IpAddress(tcp.peer_addr()?.ip().into()),
        };
        TlsConnector::from(config).connect(name, tcp).await
    }
}

impl SystemRoots {
    /// For whoever connects to something else than a server of MySQL.
    pub(crate) fn authorities(&self) -> Result<Arc<RootCertStore>, String> {
        self.store().map_err(|mistake| mistake.problem)
    }

    fn store(&self) -> Result<Arc<RootCertStore>, TlsMistake> {
        let store = self.store.get_or_init(|| {
            let loaded = rustls_native_certs::load_native_certs();
            let mut store = RootCertStore::empty();
            // Some of a system's authorities are often odd; what is left will do.
            let (added, _) = store.add_parsable_certificates(loaded.certs);
            match (added, loaded.errors.first()) {
                (0, Some(error)) => Err(format!("the system's authorities cannot be read: {error}; set a file")),
                (0, None) => Err("the system has no certificate authorities; set a file".into()),
                _ => Ok(Arc::new(store)),
            }
        });
        store.clone().map_err(|problem| TlsMistake { setting: "ca", path: None, problem })
    }
}

fn verifies(mode: TlsMode) -> bool {
    matches!(mode, TlsMode::VerifyCa | TlsMode::VerifyIdentity)
}

// Lets the good pass and keeps the bad.
fn sift<T>(result: Result<T, TlsMistake>, mistakes: &mut Vec<TlsMistake>) -> Option<T> {
    result.map_err(|mistake| mistakes.push(mistake)).ok()
}

type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn client_config(
    tls: &Tls,
    chain: Option<Chain>,
    identity: Option<Identity>,
    provider: Arc<CryptoProvider>,
) -> Result<ClientConfig, TlsMistake> {
    let schemes = provider.signature_verification_algorithms.supported_schemes();
    let versions = match tls.min_version {
        TlsVersion::Tls12 => &[&rustls::version::TLS13, &rustls::version::TLS12][..],
        TlsVersion::Tls13 => &[&rustls::version::TLS13],
    };
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .map_err(|error| TlsMistake { setting: "min_version", path: None, problem: error.to_string() })?
        .dangerous();
    let builder = match chain {
        Some(chain) => builder.with_custom_certificate_verifier(Arc::new(chain)),
        None => builder.with_custom_certificate_verifier(Arc::new(Anything { schemes })),
    };
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some((certificates, key)) => builder.with_client_auth_cert(certificates, key).map_err(|error| {
            let problem = match error {
                rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                    "is not the key of the certificate in `cert`".into()
                }
                error => format!("cannot be used: {error}"),
            };
            TlsMistake { setting: "key", path: tls.key.clone(), problem }
        })?,
    };
    // A resumed session would skip what is to be measured, and show no certificate.
    config.resumption = Resumption::disabled();
    Ok(config)
}

fn chain(
    ca: Option<&Path>,
    trusted: Vec<CertificateDer<'static>>,
    check_name: bool,
    system: &SystemRoots,
    provider: &Arc<CryptoProvider>,
) -> Result<Chain, TlsMistake> {
    let unusable = |problem: String| TlsMistake { setting: "ca", path: ca.map(Path::to_owned), problem };
    let roots = match ca {
        None => system.store()?,
        Some(_) => {
            let mut roots = RootCertStore::empty();
            for certificate in &trusted {
                roots
                    .add(certificate.clone())
                    .map_err(|error| unusable(format!("has a certificate that cannot be trusted: {error}")))?;
            }
            Arc::new(roots)
        }
    };
    let inner = WebPkiServerVerifier::builder_with_provider(roots, provider.clone())
        .build()
        .map_err(|error| unusable(error.to_string()))?;
    Ok(Chain { inner, trusted, check_name })
}

fn identity(tls: &Tls) -> Result<Option<Identity>, TlsMistake> {
    let (cert, key) = match (&tls.cert, &tls.key) {
        (None, None) => return Ok(None),
        (Some(cert), Some(key)) => (cert, key),
        (Some(_), None) => {
            return Err(TlsMistake { setting: "key", path: None, problem: "is missing; `cert` needs it".into() });
        }
        (None, Some(_)) => {
            return Err(TlsMistake { setting: "cert", path: None, problem: "is missing; `key` needs it".into() });
        }
    };
    Ok(Some((certificates("cert", cert)?, private_key(key)?)))
}

fn certificates(setting: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsMistake> {
    let mistake = |problem: String| TlsMistake { setting, path: Some(path.to_owned()), problem };
    let pem = fs::read(path).map_err(|error| mistake(format!("cannot be read: {error}")))?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match certificates {
        Ok(certificates) if certificates.is_empty() => Err(mistake("has no certificate in PEM form".into())),
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(mistake(format!("is not good PEM: {error}"))),
    }
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsMistake> {
    let mistake = |problem: String| TlsMistake { setting: "key", path: Some(path.to_owned()), problem };
    let pem = fs::read(path).map_err(|error| mistake(format!("cannot be read: {error}")))?;
    PrivateKeyDer::from_pem_slice(&pem).map_err(|error| {
        let encrypted = pem.windows(9).any(|word| word == b"ENCRYPTED");
        mistake(match (encrypted, error) {
            (true, _) => "is encrypted, which is not supported; protect the file by its mode instead".into(),
            (false, rustls::pki_types::pem::Error::NoItemsFound) => "has no private key in PEM form".into(),
            (false, error) => format!("is not good PEM: {error}"),
        })
    })
}

fn server_name(name: &str) -> Result<ServerName<'static>, TlsMistake> {
    ServerName::try_from(name.to_owned()).map_err(|_| TlsMistake {
        setting: "server_name",
        path: None,
        problem: format!("`{name}` is neither a host name nor an IP address"),
    })
}

/// A version as servers write it in `Ssl_version`.
pub(super) fn version_name(version: ProtocolVersion) -> &'static str {
    match version {
        ProtocolVersion::TLSv1_2 => "TLSv1.2",
        ProtocolVersion::TLSv1_3 => "TLSv1.3",
        _ => "other",
    }
}

/// A cipher suite as servers write it in `Ssl_cipher`: by OpenSSL's name, which for TLS 1.2 is not the standard's.
pub(super) fn cipher_name(suite: CipherSuite) -> String {
    let openssl = match suite {
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 => "ECDHE-ECDSA-AES256-GCM-SHA384",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 => "ECDHE-ECDSA-AES128-GCM-SHA256",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256 => "ECDHE-ECDSA-CHACHA20-POLY1305",
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384 => "ECDHE-RSA-AES256-GCM-SHA384",
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 => "ECDHE-RSA-AES128-GCM-SHA256",
        CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256 => "ECDHE-RSA-CHACHA20-POLY1305",
        suite => return suite.as_str().unwrap_or("unknown").replacen("TLS13_", "TLS_", 1),
    };
    openssl.to_owned()
}
