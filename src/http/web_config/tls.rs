//! `tls_server_config`: Go's words for TLS, and what rustls has for them.

use std::path::PathBuf;

use rustls::crypto::{SupportedKxGroup, ring};
use rustls::version::{TLS12, TLS13};
use rustls::{ProtocolVersion, SupportedCipherSuite, SupportedProtocolVersion};

use super::document::{Document, Said};
use crate::config::secret::Secret;
use crate::config::{Mistakes, Place, nearest};

/// TLS as the file wants it; certificates and keys are still to be read.
#[derive(Debug)]
pub(crate) struct TlsSettings {
    pub(crate) cert: Pem,
    pub(crate) key: Pem,
    pub(crate) client_ca: Option<Pem>,
    pub(crate) clients: ClientAuth,
    /// One of these must be a subject alternative name of a client; empty when any will do.
    pub(crate) allowed_sans: Vec<String>,
    pub(crate) versions: Vec<&'static SupportedProtocolVersion>,
    pub(crate) suites: Vec<SupportedCipherSuite>,
    pub(crate) groups: Vec<&'static dyn SupportedKxGroup>,
    /// Whether our order of suites counts, or the client's.
    pub(crate) server_order: bool,
}

/// Text in PEM form, here or in a file.
#[derive(Debug)]
pub(crate) struct Pem {
    /// The key that names it, and where its value stands.
    pub(crate) setting: String,
    pub(crate) place: Place,
    pub(crate) source: Source,
}

#[derive(Debug)]
pub(crate) enum Source {
    File(PathBuf),
    Inline(Secret),
}

/// What is asked of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClientAuth {
    Nothing,
    /// A certificate if it has one, whoever made it.
    Request,
    /// A certificate, whoever made it.
    RequireAny,
    /// If it has one, a certificate of our authority.
    VerifyIfGiven,
    RequireAndVerify,
}

impl ClientAuth {
    pub(crate) fn is_required(self) -> bool {
        matches!(self, ClientAuth::RequireAny | ClientAuth::RequireAndVerify)
    }

    pub(crate) fn is_verified(self) -> bool {
        matches!(self, ClientAuth::VerifyIfGiven | ClientAuth::RequireAndVerify)
    }
}

/// The last word is an older one of the toolkit's for the third.
const CLIENT_AUTH: [(&str, ClientAuth); 6] = [
    ("NoClientCert", ClientAuth::Nothing),
    ("RequestClientCert", ClientAuth::Request),
    ("RequireAnyClientCert", ClientAuth::RequireAny),
    ("VerifyClientCertIfGiven", ClientAuth::VerifyIfGiven),
    ("RequireAndVerifyClientCert", ClientAuth::RequireAndVerify),
    ("RequireClientCert", ClientAuth::RequireAny),
];

/// None when the file does not want TLS, or not in a way that can be had.
pub(crate) fn read(document: &Document, mistakes: &mut Mistakes) -> Option<TlsSettings> {
    let group = document.find(GROUP)?;
    document.below(GROUP).next()?;
    let cert = pem(document, "cert", mistakes);
    let key = pem(document, "key", mistakes);
    let client_ca = pem(document, "client_ca", mistakes);
    for (part, what, missing) in [("cert", "certificate", cert.is_none()), ("key", "key", key.is_none())] {
        if missing {
            mistakes.at(&group.key, GROUP, format!("has no {what}; add `{part}_file`"));
        }
    }
    let clients = clients(document, client_ca.as_ref(), mistakes);
    let versions = versions(document, mistakes);
    let suites = suites(document, &versions, mistakes);
    let groups = groups(document, mistakes);
    let server_order = document.switch(&below("prefer_server_cipher_suites"), true, mistakes);
    let allowed_sans =
        document.many(&below("client_allowed_sans")).iter().map(|(_, name)| name.clone()).collect::<Vec<_>>();
    Some(TlsSettings {
        cert: cert?,
        key: key?,
        client_ca,
        clients,
        allowed_sans,
        versions,
        suites,
        groups,
        server_order,
    })
}

const GROUP: &str = "tls_server_config";

fn below(key: &str) -> String {
    format!("{GROUP}.{key}")
}

/// A file wins over the text, as with the toolkit, but both at once is a mistake: one of them is out of date.
fn pem(document: &Document, key: &str, mistakes: &mut Mistakes) -> Option<Pem> {
    let (file_key, text_key) = (below(&format!("{key}_file")), below(key));
    match (document.one(&file_key), document.one(&text_key)) {
        (None, None) => None,
        (Some((place, file)), None) => {
            let source = Source::File(document.path(file));
            Some(Pem { setting: file_key, place: place.clone(), source })
        }
        (file, Some((place, text))) => {
            if file.is_some() {
                mistakes.at(place, &text_key, format!("set beside `{key}_file`; remove one of them"));
            }
            Some(Pem { setting: text_key, place: place.clone(), source: Source::Inline(Secret::new(text)) })
        }
    }
}

fn clients(document: &Document, client_ca: Option<&Pem>, mistakes: &mut Mistakes) -> ClientAuth {
    let key = below("client_auth_type");
    let said = document.one(&key);
    let (clients, is_wrong) = match said {
        None => (ClientAuth::Nothing, false),
        Some((place, word)) => match CLIENT_AUTH.iter().find(|(known, _)| *known == word) {
            Some((_, clients)) => (*clients, false),
            None => {
                let known: Vec<&str> = CLIENT_AUTH[..5].iter().map(|(word, _)| *word).collect();
                mistakes.at(place, &key, not_one_of(word, &known));
                (ClientAuth::Nothing, true)
            }
        },
    };
    if is_wrong {
        return clients;
    }
    match (client_ca, said) {
        (None, Some((place, word))) if clients.is_verified() => {
            mistakes.at(place, &key, format!("{word} verifies against an authority; add `client_ca_file`"));
        }
        (Some(ca), _) if clients == ClientAuth::Nothing => {
            let says = "no client is asked for a certificate; add `client_auth_type: RequireAndVerifyClientCert`, or remove it";
            mistakes.at(&ca.place, &ca.setting, says);
        }
        _ => {}
    }
    let sans = below("client_allowed_sans");
    match document.find(&sans) {
        Some(Said { key, texts, .. }) if texts.is_empty() => {
            mistakes.at(key, &sans, "is an empty list, which lets nobody in; name a client or remove it");
        }
        Some(Said { key, .. }) if !clients.is_required() => {
            let says = "a client may come without a certificate; write `client_auth_type: RequireAndVerifyClientCert`";
            mistakes.at(key, &sans, says);
        }
        _ => {}
    }
    clients
}

const VERSIONS: [(&str, &SupportedProtocolVersion); 2] = [("TLS12", &TLS12), ("TLS13", &TLS13)];

fn versions(document: &Document, mistakes: &mut Mistakes) -> Vec<&'static SupportedProtocolVersion> {
    let mut bound = |key: &str, default: usize| {
        let key = below(key);
        let Some((place, word)) = document.one(&key) else { return default };
        if let Some(at) = VERSIONS.iter().position(|(known, _)| *known == word) {
            return at;
        }
        mistakes.at(
            place,
            &key,
            match word {
                "TLS10" | "TLS11" => format!("{word} is not secure, and is not spoken here; write `TLS12`"),
                _ => not_one_of(word, &["TLS12", "TLS13"]),
            },
        );
        default
    };
    let (least, most) = (bound("min_version", 0), bound("max_version", 1));
    if least > most {
        let key = below("min_version");
        if let Some((place, word)) = document.one(&key) {
            mistakes.at(place, &key, format!("{word} is above `max_version`, which is {}", VERSIONS[most].0));
        }
        return vec![VERSIONS[most].1];
    }
    VERSIONS[least..=most].iter().map(|(_, version)| *version).collect()
}

/// As with Go, the list is about TLS 1.2: the suites of TLS 1.3 are all good, and all there.
fn suites(
    document: &Document,
    versions: &[&'static SupportedProtocolVersion],
    mistakes: &mut Mistakes,
) -> Vec<SupportedCipherSuite> {
    let key = below("cipher_suites");
    let asked = document.many(&key);
    if asked.is_empty() {
        return ring::ALL_CIPHER_SUITES.to_vec();
    }
    let is_newest = |suite: &SupportedCipherSuite| suite.version().version == ProtocolVersion::TLSv1_3;
    let mut suites: Vec<SupportedCipherSuite> =
        ring::ALL_CIPHER_SUITES.iter().copied().filter(|suite| is_newest(suite)).collect();
    let newest = suites.len();
    let mut all_known = true;
    for (place, name) in asked {
        match ring::ALL_CIPHER_SUITES.iter().find(|suite| go_name(**suite) == *name) {
            Some(suite) if suites.contains(suite) => {}
            Some(suite) => suites.push(*suite),
            None => {
                let known: Vec<String> = ring::ALL_CIPHER_SUITES
                    .iter()
                    .filter(|suite| !is_newest(suite))
                    .map(|suite| go_name(*suite))
                    .collect();
                let says = format!("{name} is not to be had here; write some of {}", known.join(", "));
                mistakes.at(place, &key, says);
                all_known = false;
            }
        }
    }
    let only_older = versions.iter().all(|version| version.version == ProtocolVersion::TLSv1_2);
    if all_known && only_older && suites.len() == newest {
        let says = "none of them is for TLS 1.2, and `max_version` is TLS12; remove one of the two";
        mistakes.at(&asked[0].0, &key, says);
    }
    suites
}

/// rustls tells the suites of TLS 1.3 apart by their prefix, Go does not.
fn go_name(suite: SupportedCipherSuite) -> String {
    suite.suite().as_str().unwrap_or_default().replacen("TLS13_", "TLS_", 1)
}

const GROUPS: [(&str, &dyn SupportedKxGroup); 3] = [
    ("X25519", ring::kx_group::X25519),
    ("CurveP256", ring::kx_group::SECP256R1),
    ("CurveP384", ring::kx_group::SECP384R1),
];

fn groups(document: &Document, mistakes: &mut Mistakes) -> Vec<&'static dyn SupportedKxGroup> {
    let key = below("curve_preferences");
    let mut groups = Vec::new();
    for (place, name) in document.many(&key) {
        match GROUPS.iter().find(|(known, _)| known == name) {
            Some((_, group)) => groups.push(*group),
            None => {
                let known = GROUPS.map(|(known, _)| known).join(", ");
                mistakes.at(place, &key, format!("{name} is not to be had here; write some of {known}"));
            }
        }
    }
    match groups.is_empty() {
        true => GROUPS.iter().map(|(_, group)| *group).collect(),
        false => groups,
    }
}

fn not_one_of(word: &str, known: &[&str]) -> String {
    let all = match known {
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
        [] => String::new(),
    };
    match nearest(word, known.iter().copied()) {
        Some(near) => format!("`{word}` is not one of {all}; did you mean `{near}`?"),
        None => format!("`{word}` is not one of {all}"),
    }
}
