//! TLS of our side: from what the file says to what rustls takes.
//!
//! Nothing is resumed. A scraper keeps its connection; a resumed session would show no certificate, and who may come in
//! is decided by the files of now.

mod pem;
mod clients;

use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{InconsistentKeys, RootCertStore, ServerConfig};

use self::clients::Clients;
use super::files::Files;
use super::web_config::{ClientAuth, TlsSettings};
use crate::config::Mistakes;

/// Reads the files that the settings name; adds every mistake that is in them.
pub(super) fn server_config(
    settings: &TlsSettings,
    files: &mut Files,
    mistakes: &mut Mistakes,
) -> Option<Arc<ServerConfig>> {
    let chain = pem::certificates(&settings.cert, files, mistakes);
    let key = pem::private_key(&settings.key, files, mistakes);
    let trusted = settings.client_ca.as_ref().map(|ca| pem::certificates(ca, files, mistakes));
    let provider = Arc::new(CryptoProvider {
        cipher_suites: settings.suites.clone(),
        kx_groups: settings.groups.clone(),
        ..ring::default_provider()
    });
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&settings.versions)
        .map_err(|error| mistakes.at(&settings.cert.place, "tls_server_config", format!("cannot be used: {error}")));
    let clients = match trusted {
        None => Some(None),
        Some(None) => None,
        Some(Some(trusted)) => roots(settings, trusted, mistakes).map(Some),
    };
    let (builder, chain, key, clients) = (builder.ok()?, chain?, key?, clients?);
    let builder = match settings.clients {
        ClientAuth::Nothing => builder.with_no_client_auth(),
        asked => {
            let authority = match clients.filter(|_| asked.is_verified()) {
                None => None,
                Some(roots) => {
                    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
                    let place = settings.client_ca.as_ref().map_or(&settings.cert.place, |ca| &ca.place);
                    let unusable = |error| {
                        mistakes.at(place, "tls_server_config.client_ca_file", format!("cannot be used: {error}"));
                    };
                    Some(verifier.build().map_err(unusable).ok()?)
                }
            };
            builder.with_client_cert_verifier(Arc::new(Clients {
                authority,
                is_required: asked.is_required(),
                allowed_names: settings.allowed_sans.clone(),
                algorithms: provider.signature_verification_algorithms,
            }))
        }
    };
    let unusable = |error| {
        let says = match error {
            rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                "is not the key of the certificate; write the two that were made together".to_owned()
            }
            error => format!("cannot be used: {error}; write a key of RSA, ECDSA or Ed25519"),
        };
        mistakes.at(&settings.key.place, &settings.key.setting, says);
    };
    let mut config = builder.with_single_cert(chain, key).map_err(unusable).ok()?;
    config.ignore_client_order = settings.server_order;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Some(Arc::new(config))
}

fn roots(
    settings: &TlsSettings,
    trusted: Vec<rustls::pki_types::CertificateDer<'static>>,
    mistakes: &mut Mistakes,
) -> Option<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for certificate in trusted {
        if let Err(error) = roots.add(certificate) {
            let ca = settings.client_ca.as_ref()?;
            let says = format!("has a certificate that cannot be trusted: {error}; remove it");
            mistakes.at(&ca.place, &ca.setting, says);
            return None;
        }
    }
    Some(roots)
}
