//! The web configuration file of Prometheus' exporters: TLS, headers, users, a rate limit.
//!
//! The format is that of the exporter-toolkit. What it can say and we cannot do is a mistake, never silently left out:
//! someone relies on it. `http2` alone is read and changes nothing, since we speak HTTP/1.1 in any case.

mod document;
mod tls;
mod headers;
mod users;
mod rate;

use std::path::Path;
use std::sync::Arc;

use hyper::header::{HeaderName, HeaderValue};

use self::document::Document;
use crate::config::{Mistakes, Place};

pub(super) use self::rate::Rate;
pub(super) use self::tls::{ClientAuth, Pem, Source, TlsSettings};
pub(super) use self::users::Users;

/// What a good file says.
#[derive(Debug, Default)]
pub(super) struct WebConfig {
    /// Without it we speak plain HTTP.
    pub(super) tls: Option<TlsSettings>,
    /// For every answer.
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    /// Without any, nobody is asked who they are.
    pub(super) users: Option<Users>,
    pub(super) rate: Option<Rate>,
}

/// Reads the text of the file; adds every mistake that is in it.
pub(super) fn read(bytes: &[u8], file: &Arc<Path>, mistakes: &mut Mistakes) -> WebConfig {
    let Ok(text) = std::str::from_utf8(bytes) else {
        mistakes.at(&Place::File(file.clone()), "", "the file is not UTF-8; save it as UTF-8");
        return WebConfig::default();
    };
    let document = Document::read(text, file, mistakes);
    // It is judged like any switch, and then nothing depends on it.
    document.switch("http_server_config.http2", true, mistakes);
    WebConfig {
        tls: tls::read(&document, mistakes),
        headers: headers::read(&document, mistakes),
        users: users::read(&document, mistakes),
        rate: rate::read(&document, mistakes),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn wrong(text: &str) -> String {
        let mut mistakes = Mistakes::default();
        read(text.as_bytes(), &Arc::from(Path::new("web.yml")), &mut mistakes);
        assert!(!mistakes.is_empty(), "accepted: {text}");
        mistakes.iter().map(|mistake| format!("{mistake}\n")).collect()
    }

    fn good(text: &str) -> WebConfig {
        let mut mistakes = Mistakes::default();
        let config = read(text.as_bytes(), &Arc::from(Path::new("web.yml")), &mut mistakes);
        assert!(mistakes.is_empty(), "{text}: {mistakes}");
        config
    }

    const PAIR: &str = "tls_server_config:\n  cert_file: a.crt\n  key_file: a.key\n";

    #[test]
    fn the_example_of_the_toolkit_is_understood() {
        let config = good(
            "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n\
             basic_auth_users:\n  alice: $2y$10$mDwo.lAisC94iLAyP81MCesa29IzH37oigHC/42V2pdJlUprsJPze\n\
             rate_limit:\n  interval: \"1s\"\n  burst: 20\n",
        );
        assert!(config.tls.is_some() && config.users.is_some());
        assert_eq!(config.rate, Some(Rate { interval: Duration::from_secs(1), burst: 20 }));
    }

    #[test]
    fn the_example_of_the_readme_has_no_mistake() {
        let (_, rest) = include_str!("../../README.md").split_once("```yaml\ntls_server_config:").expect("an example");
        let (rest, _) = rest.split_once("```").expect("its end");
        let config = good(&format!("tls_server_config:{rest}"));
        assert!(config.tls.is_some() && config.users.is_some());
    }

    #[test]
    fn what_is_empty_is_not_said() {
        for text in [
            "",
            "# words\n",
            "tls_server_config:\nhttp_server_config: {}\nbasic_auth_users:\nrate_limit: {}\n",
            "rate_limit: {interval: 0}\n",
            "rate_limit: {interval: 0s, burst: 0}\n",
            "http_server_config: {http2: false, headers: {X-XSS-Protection: ''}}\n",
        ] {
            let config = good(text);
            assert!(config.tls.is_none() && config.users.is_none() && config.rate.is_none(), "{text}");
            assert!(config.headers.is_empty(), "{text}");
        }
    }

    #[test]
    fn go_has_names_for_what_rustls_has() {
        let more = "  min_version: TLS12\n  max_version: TLS13\n  prefer_server_cipher_suites: false\n\
                    \x20 cipher_suites: [TLS_AES_128_GCM_SHA256, TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256]\n\
                    \x20 curve_preferences: [CurveP384, X25519]\n  client_auth_type: RequireClientCert\n";
        let tls = good(&format!("{PAIR}{more}")).tls.unwrap();
        assert_eq!(tls.suites.len(), 4, "one for TLS 1.2, and all of TLS 1.3: {:?}", tls.suites);
        assert_eq!(tls.groups.len(), 2);
        assert_eq!((tls.versions.len(), tls.server_order, tls.clients), (2, false, ClientAuth::RequireAny));
    }

    #[test]
    fn each_mistake_names_its_place_its_key_and_the_way_out() {
        let pair = |more: &str| format!("{PAIR}  {more}\n");
        let mut other = Vec::new();
        for (text, says) in [
            (
                "tls_sever_config: {}\n".to_owned(),
                "web.yml:1:1: tls_sever_config: unknown key; did you mean `tls_server_config`?",
            ),
            (
                pair("colour: red"),
                "web.yml:4:3: tls_server_config.colour: unknown key; known here: `cert_file`, `key_file`, `cert`",
            ),
            (pair("cert_file: b.crt"), "web.yml:4:3: tls_server_config.cert_file: set twice; the first is in line 2"),
            (
                "tls_server_config: {key_file: a.key}\n".to_owned(),
                "web.yml:1:1: tls_server_config: has no certificate; add `cert_file`",
            ),
            (
                "tls_server_config: {cert_file: a.crt}\n".to_owned(),
                "web.yml:1:1: tls_server_config: has no key; add `key_file`",
            ),
            (
                "tls_server_config: {min_version: TLS12}\n".to_owned(),
                "web.yml:1:1: tls_server_config: has no certificate; add `cert_file`",
            ),
            (pair("cert: x"), "tls_server_config.cert: set beside `cert_file`; remove one of them"),
            (
                pair("min_version: TLS10"),
                "web.yml:4:16: tls_server_config.min_version: TLS10 is not secure, and is not spoken here; write `TLS12`",
            ),
            (pair("max_version: TLS11"), "tls_server_config.max_version: TLS11 is not secure"),
            (pair("min_version: 1.2"), "`1.2` is not one of TLS12 or TLS13"),
            (pair("max_version: TLS12\n  min_version: TLS13"), "TLS13 is above `max_version`, which is TLS12"),
            (
                pair("curve_preferences: [X25519, CurveP521]"),
                "web.yml:4:31: tls_server_config.curve_preferences: CurveP521 is not to be had here; write some of \
                 X25519, CurveP256, CurveP384",
            ),
            (
                pair("cipher_suites: [TLS_RSA_WITH_AES_128_CBC_SHA]"),
                "TLS_RSA_WITH_AES_128_CBC_SHA is not to be had here; write some of TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
            ),
            (
                pair("max_version: TLS12\n  cipher_suites: [TLS_AES_128_GCM_SHA256]"),
                "tls_server_config.cipher_suites: none of them is for TLS 1.2, and `max_version` is TLS12",
            ),
            (
                pair("client_auth_type: RequireAndVerify"),
                "`RequireAndVerify` is not one of NoClientCert, RequestClientCert, RequireAnyClientCert, \
                 VerifyClientCertIfGiven or RequireAndVerifyClientCert; did you mean `RequireAndVerifyClientCert`?",
            ),
            (
                pair("client_auth_type: RequireAndVerifyClientCert"),
                "RequireAndVerifyClientCert verifies against an authority; add `client_ca_file`",
            ),
            (
                pair("client_ca_file: ca.crt"),
                "tls_server_config.client_ca_file: no client is asked for a certificate; add `client_auth_type: \
                 RequireAndVerifyClientCert`",
            ),
            (
                pair("client_allowed_sans: [a]"),
                "tls_server_config.client_allowed_sans: a client may come without a certificate; write \
                 `client_auth_type: RequireAndVerifyClientCert`",
            ),
            (
                pair("client_auth_type: RequireAnyClientCert\n  client_allowed_sans: []"),
                "tls_server_config.client_allowed_sans: is an empty list, which lets nobody in; name a client or remove it",
            ),
            (pair("prefer_server_cipher_suites: yes"), "`yes` is neither true nor false"),
            (pair("cert_file: [a]").replacen("  cert_file: a.crt\n", "", 1), "is a list; write one value"),
            (pair("cipher_suites: a"), "is a single value; write a list, such as `[a]`"),
            ("http_server_config: true\n".to_owned(), "http_server_config: is a single value; write its keys below it"),
            ("- a\n".to_owned(), "web.yml:1:1: the file is a list; write keys such as `tls_server_config:`"),
            (
                "http_server_config:\n  headers:\n    Server: x\n".to_owned(),
                "web.yml:3:5: http_server_config.headers.Server: unknown key; known here: `Content-Security-Policy`",
            ),
            (
                "http_server_config: {headers: {X-Frame-Options: allow}}\n".to_owned(),
                "http_server_config.headers.X-Frame-Options: `allow` is not one of deny or sameorigin",
            ),
            (
                "http_server_config: {headers: {X-XSS-Protection: \"a\\nb\"}}\n".to_owned(),
                "has a character that no header may have",
            ),
            (
                "basic_auth_users: {bob: hunter2}\n".to_owned(),
                "basic_auth_users.bob: is not a bcrypt hash; make one by",
            ),
            (
                "basic_auth_users:\n  bob: $2y$31$mDwo.lAisC94iLAyP81MCesa29IzH37oigHC/42V2pdJlUprsJPze\n".to_owned(),
                "web.yml:2:8: basic_auth_users.bob: has the cost 31; a check would take longer than a client waits; \
                 write one of a cost from 4 to 18",
            ),
            (
                "basic_auth_users:\n  b:b: $2y$10$mDwo.lAisC94iLAyP81MCesa29IzH37oigHC/42V2pdJlUprsJPze\n".to_owned(),
                "a name with `:` cannot be sent by a client; choose another",
            ),
            (
                "rate_limit: {interval: 1s}\n".to_owned(),
                "web.yml:1:1: rate_limit: has no `burst`; add one, such as `burst: 20`",
            ),
            ("rate_limit: {interval: 1s, burst: 0}\n".to_owned(), "rate_limit.burst: `0` lets no request in"),
            ("rate_limit: {interval: 1s, burst: many}\n".to_owned(), "rate_limit.burst: `many` is not a whole number"),
            ("rate_limit: {interval: 5, burst: 1}\n".to_owned(), "rate_limit.interval: `5` has no unit; write `5s`"),
            ("rate_limit: {interval: soon, burst: 1}\n".to_owned(), "rate_limit.interval: `soon` is not a duration"),
            ("rate_limit: {burst: 3}\n".to_owned(), "rate_limit: has no `interval`; add one, such as `interval: 1s`"),
            ("a: \"b\n".to_owned(), "web.yml:1:4: a quote is opened and not closed"),
        ] {
            let told = wrong(&text);
            if !told.contains(says) || told.contains("hunter2") {
                other.push(format!("{text}{told}wanted: {says}\n"));
            }
        }
        assert!(other.is_empty(), "{}", other.join("\n"));
    }

    #[test]
    fn every_mistake_is_told_at_once() {
        let told = wrong(&format!("{PAIR}  min_version: x\n  max_version: y\nbasic_auth_users: {{a: b}}\nc: d\n"));
        assert_eq!(told.lines().count(), 4, "{told}");
    }
}
