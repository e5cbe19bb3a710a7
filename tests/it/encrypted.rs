//! TLS with servers that real ones are not: certificates of odd kinds, and ends without a farewell. And the settings
//! that cannot work.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use goneaway::config::{Tls, TlsMode, TlsVersion};
use goneaway::mysql::endpoint::Endpoint;
use goneaway::mysql::failure::{Failure, Phase, Reason};
use goneaway::mysql::handshake::{Connection, SystemRoots, TlsPolicy};
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair, date_time_ymd};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::AsyncWriteExt;
use tokio_rustls::TlsAcceptor;

use crate::client::{access, attempt, policy, settings};
use crate::scripted::{OK, PLAIN, SSL, Talk, greeting, server};
use crate::servers::tls;

// A certificate that its own key has signed, in a file, with that key.
struct SelfSigned {
    file: PathBuf,
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
}

impl Drop for SelfSigned {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.file);
    }
}

fn self_signed(name: &str, authority: bool, last_year: i32) -> SelfSigned {
    let mut params = CertificateParams::new(["localhost".to_owned()]).expect("a good name");
    params.is_ca = if authority { IsCa::Ca(BasicConstraints::Unconstrained) } else { IsCa::ExplicitNoCa };
    (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(last_year, 1, 1));
    let key = KeyPair::generate().expect("a key");
    let certificate = params.self_signed(&key).expect("a certificate");
    let file = std::env::temp_dir().join(format!("goneaway-{name}-{}.pem", std::process::id()));
    fs::write(&file, certificate.pem()).expect("the temporary directory is writable");
    let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).expect("just made");
    SelfSigned { file, certificate: certificate.der().clone(), key }
}

// A server that lets everybody in, and then ends the connection with or without TLS's farewell.
async fn tls_server(identity: &SelfSigned, versions: &'static [&'static rustls::SupportedProtocolVersion]) -> Endpoint {
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(versions)
        .expect("ring has them all")
        .with_no_client_auth()
        .with_single_cert(vec![identity.certificate.clone()], identity.key.clone_key())
        .expect("a matching key");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let (endpoint, _) = server(async move |mut talk: Talk| {
        talk.send(&greeting(PLAIN | SSL, "mysql_native_password")).await;
        talk.read().await;
        let Ok(stream) = acceptor.accept(talk.stream).await else { return };
        let mut talk = Talk { stream, sequence: talk.sequence };
        talk.read().await;
        talk.send(OK).await;
        talk.read().await;
        // The socket alone: no close_notify.
        let _ = talk.stream.get_mut().0.shutdown().await;
    })
    .await;
    let Endpoint::Tcp { port, .. } = endpoint else { unreachable!("a TCP listener") };
    Endpoint::Tcp { host: "localhost".into(), port }
}

const BOTH: &[&rustls::SupportedProtocolVersion] = rustls::ALL_VERSIONS;
const OLD: &[&rustls::SupportedProtocolVersion] = &[&rustls::version::TLS12];

async fn log_in(endpoint: Endpoint, settings: &Tls) -> Result<Connection, Failure> {
    let access = access(endpoint, "user", "secret", policy(settings));
    attempt(&access).await.map(|(connection, _)| connection)
}

#[tokio::test]
async fn a_self_signed_certificate_is_trusted_when_it_is_the_authority_given() {
    for authority in [true, false] {
        let good = self_signed(&format!("good-{authority}"), authority, 2100);
        let other = self_signed(&format!("other-{authority}"), authority, 2100);
        let expired = self_signed(&format!("expired-{authority}"), authority, 2021);
        for mode in [TlsMode::VerifyCa, TlsMode::VerifyIdentity] {
            let trusting = |ca: &Path| Tls { ca: Some(ca.to_owned()), ..settings(mode) };
            let what = format!("{mode:?}, authority: {authority}");
            let connection = log_in(tls_server(&good, BOTH).await, &trusting(&good.file)).await.expect(&what);
            let facts = connection.facts().tls.clone().expect("TLS");
            assert_eq!((facts.version.as_str(), facts.names), ("TLSv1.3", vec!["localhost".to_owned()]));
            connection.quit().await;

            let failure = log_in(tls_server(&other, BOTH).await, &trusting(&good.file)).await.expect_err(&what);
            assert_eq!(failure.phase, Phase::Tls, "{what}: {failure:?}");
            assert!(matches!(failure.reason, Reason::TlsUnknownCa | Reason::TlsOther), "{what}: {failure:?}");

            let failure = log_in(tls_server(&expired, BOTH).await, &trusting(&expired.file)).await.expect_err(&what);
            assert_eq!(failure.reason, Reason::TlsExpired, "{what}: {failure:?}");

            let misnamed = Tls { server_name: Some("elsewhere.example".into()), ..trusting(&good.file) };
            match (mode, log_in(tls_server(&good, BOTH).await, &misnamed).await) {
                (TlsMode::VerifyCa, result) => result.expect(&what).quit().await,
                (_, result) => assert_eq!(result.expect_err(&what).reason, Reason::TlsWrongName, "{what}"),
            }
        }
    }
}

#[tokio::test]
async fn an_end_without_tls_farewell_is_a_plain_end() {
    let identity = self_signed("farewell", false, 2100);
    for versions in [BOTH, OLD] {
        let endpoint = tls_server(&identity, versions).await;
        let mut connection = log_in(endpoint, &settings(TlsMode::Required)).await.expect("a login");
        let deadline = tokio::time::Instant::now() + crate::client::PATIENCE;
        let failure = connection.query("SELECT 1", deadline).await.expect_err("an end");
        assert_eq!((failure.phase, failure.reason), (Phase::Query, Reason::Closed), "{failure:?}");
    }
}

#[tokio::test]
async fn an_older_version_is_named_and_refused_where_a_minimum_is_set() {
    let identity = self_signed("older", false, 2100);
    let mut settings = settings(TlsMode::Required);
    let connection = log_in(tls_server(&identity, OLD).await, &settings).await.expect("1.2 will do");
    let facts = connection.facts().tls.clone().expect("TLS");
    assert_eq!((facts.version.as_str(), facts.cipher.as_str()), ("TLSv1.2", "ECDHE-ECDSA-AES256-GCM-SHA384"));
    connection.quit().await;
    settings.min_version = TlsVersion::Tls13;
    let failure = log_in(tls_server(&identity, OLD).await, &settings).await.expect_err("1.2 will not do");
    assert_eq!((failure.phase, failure.reason), (Phase::Tls, Reason::TlsOther), "{failure:?}");
    assert!(failure.hint.is_some());
}

#[tokio::test]
async fn words_that_come_before_tls_are_not_believed() {
    let (endpoint, _) = server(async |mut talk: Talk| {
        talk.send(&greeting(PLAIN | SSL, "mysql_native_password")).await;
        talk.send(b"\xff\x15\x04#28000injected").await;
        talk.silence().await;
    })
    .await;
    let failure = log_in(endpoint, &settings(TlsMode::Required)).await.expect_err("injected");
    assert_eq!((failure.phase, failure.errno), (Phase::Tls, None), "{failure:?}");
}

#[test]
fn settings_that_cannot_work_are_named_with_their_files() {
    let tls = tls();
    let text = std::env::temp_dir().join(format!("goneaway-text-{}.pem", std::process::id()));
    fs::write(&text, "no PEM at all").expect("the temporary directory is writable");
    let locked = std::env::temp_dir().join(format!("goneaway-locked-{}.pem", std::process::id()));
    fs::write(&locked, "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n")
        .expect("the temporary directory is writable");
    let missing = PathBuf::from("/nowhere/ca.pem");
    let shown = |settings: Tls| {
        let mistakes = TlsPolicy::load(&settings, &SystemRoots::default()).map(|_| ()).expect_err("a mistake");
        mistakes.iter().map(|mistake| format!("{mistake}\n")).collect::<String>()
    };
    let base = || settings(TlsMode::VerifyCa);
    let client = || (Some(tls.client.certificate.clone()), Some(tls.client.key.clone()));
    let (cert, key) = client();

    let missing_ca = shown(Tls { ca: Some(missing.clone()), ..base() });
    assert_eq!(missing_ca, "tls.ca: /nowhere/ca.pem: cannot be read: No such file or directory (os error 2)\n");
    let no_pem = shown(Tls { ca: Some(text.clone()), ..base() });
    assert_eq!(no_pem, format!("tls.ca: {}: has no certificate in PEM form\n", text.display()));
    assert_eq!(shown(Tls { cert: cert.clone(), ..base() }), "tls.key: is missing; `cert` needs it\n");
    assert_eq!(shown(Tls { key: key.clone(), ..base() }), "tls.cert: is missing; `key` needs it\n");
    let no_key = shown(Tls { cert: cert.clone(), key: Some(text.clone()), ..base() });
    assert_eq!(no_key, format!("tls.key: {}: has no private key in PEM form\n", text.display()));
    let encrypted = shown(Tls { cert: cert.clone(), key: Some(locked.clone()), ..base() });
    assert!(encrypted.contains("is encrypted"), "{encrypted}");
    let other_key = shown(Tls { cert: cert.clone(), key: Some(tls.server.key.clone()), ..base() });
    assert_eq!(
        other_key,
        format!("tls.key: {}: is not the key of the certificate in `cert`\n", tls.server.key.display())
    );
    let name = shown(Tls { server_name: Some("not a name".into()), ..base() });
    assert_eq!(name, "tls.server_name: `not a name` is neither a host name nor an IP address\n");
    // Every mistake at once.
    let all = shown(Tls { ca: Some(missing), cert, server_name: Some("%".into()), ..base() });
    assert_eq!(all.lines().count(), 3, "{all}");
    TlsPolicy::load(&Tls { ca: Some(text.clone()), ..settings(TlsMode::Disabled) }, &SystemRoots::default())
        .expect("nothing is read that is not used");
    for file in [text, locked] {
        fs::remove_file(file).expect("just made");
    }
}
