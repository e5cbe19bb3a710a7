//! TLS over real sockets: certificates of both sides, their change, and clients that are slow at it.

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, SanType};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::clients::{places_held, small_client};
use super::*;

/// A certificate and its key, as PEM.
struct Pair {
    cert: String,
    key: String,
}

struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Authority {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Authority { pem, issuer: Issuer::new(params, key) }
    }

    fn sign(&self, names: Vec<SanType>) -> Pair {
        let mut params = CertificateParams::default();
        params.subject_alt_names = names;
        let key = KeyPair::generate().unwrap();
        let cert = params.signed_by(&key, &self.issuer).unwrap().pem();
        Pair { cert, key: key.serialize_pem() }
    }

    fn server(&self) -> Pair {
        self.sign(vec![SanType::DnsName("localhost".try_into().unwrap())])
    }

    /// A client that trusts this authority and may have a certificate of its own.
    fn client(&self, own: Option<&Pair>) -> Arc<ClientConfig> {
        self.client_of(own, &[&rustls::version::TLS13, &rustls::version::TLS12])
    }

    fn client_of(
        &self,
        own: Option<&Pair>,
        versions: &[&'static rustls::SupportedProtocolVersion],
    ) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.pem.as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions).unwrap();
        let builder = builder.with_root_certificates(roots);
        Arc::new(match own {
            None => builder.with_no_client_auth(),
            Some(pair) => {
                let chain = vec![CertificateDer::from_pem_slice(pair.cert.as_bytes()).unwrap()];
                builder
                    .with_client_auth_cert(chain, PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap())
                    .unwrap()
            }
        })
    }
}

const TLS: &str = "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n";

fn write_pair(folder: &Folder, pair: &Pair) {
    folder.write("server.crt", &pair.cert);
    folder.write("server.key", &pair.key);
}

fn site(folder: &Folder, more: &str) -> Site {
    Site::start_guarded("/metrics", Limits::default(), folder.guard(&format!("{TLS}{more}")))
}

async fn connect(address: SocketAddr, config: &Arc<ClientConfig>) -> std::io::Result<Client<TlsStream<TcpStream>>> {
    let stream = TcpStream::connect(address).await?;
    // Or a request behind the handshake waits for an acknowledgement, while paused time runs on.
    stream.set_nodelay(true)?;
    shake(stream, config).await
}

async fn shake(stream: TcpStream, config: &Arc<ClientConfig>) -> std::io::Result<Client<TlsStream<TcpStream>>> {
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(config.clone()).connect(name, stream).await.map(Client)
}

/// The status of one request on a new connection; none when it was refused at any point of it.
async fn status(site: &Site, config: &Arc<ClientConfig>) -> Option<u16> {
    let mut client = connect(site.address, config).await.ok()?;
    client.0.write_all(b"GET /health HTTP/1.1\r\nHost: test\r\n\r\n").await.ok()?;
    client.answer(true).await.map(|answer| answer.status)
}

#[tokio::test]
async fn certificates_are_swapped_under_load_without_a_failed_request() {
    let (folder, authority) = (Folder::new(), Authority::new());
    write_pair(&folder, &authority.server());
    let site = site(&folder, "");
    let config = authority.client(None);
    let (done, told) = tokio::sync::watch::channel(false);
    let load: Vec<JoinHandle<u32>> = (0..4)
        .map(|_| {
            let (config, told, address) = (config.clone(), told.clone(), site.address);
            tokio::spawn(async move {
                let mut answered = 0;
                while !*told.borrow() {
                    let mut client = connect(address, &config).await.expect("a handshake");
                    for _ in 0..3 {
                        assert_eq!(client.get("/metrics", "").await.status, 200);
                        answered += 1;
                    }
                    sleep(Duration::from_millis(2)).await;
                }
                answered
            })
        })
        .collect();
    for _ in 0..2 {
        let new = authority.server();
        // Between the two writes the key does not fit.
        folder.write("server.crt", &new.cert);
        sleep(Duration::from_millis(1200)).await;
        folder.write("server.key", &new.key);
        let new = CertificateDer::from_pem_slice(new.cert.as_bytes()).unwrap();
        let swapped = async {
            loop {
                let client = connect(site.address, &config).await.expect("a handshake");
                let shown = client.0.get_ref().1.peer_certificates().map(|chain| chain[0].clone());
                if shown.is_some_and(|shown| shown == new) {
                    return;
                }
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(Duration::from_secs(20), swapped).await.expect("the new certificate is shown");
    }
    done.send_replace(true);
    for task in load {
        assert!(task.await.expect("no request failed") > 10);
    }
    site.stop().await;
}

#[tokio::test]
async fn a_client_comes_in_by_its_certificate_and_its_name() {
    let (folder, authority, stranger) = (Folder::new(), Authority::new(), Authority::new());
    write_pair(&folder, &authority.server());
    folder.write("ca.crt", &authority.pem);
    let dns = |name: &str| SanType::DnsName(name.try_into().unwrap());
    let own = authority.sign(vec![dns("scraper.example")]);
    let mail = authority.sign(vec![SanType::Rfc822Name("ops@example.org".try_into().unwrap())]);
    let address = authority.sign(vec![SanType::IpAddress([192, 0, 2, 7].into())]);
    let uri = authority.sign(vec![SanType::URI("spiffe://example.org/scraper".try_into().unwrap())]);
    let other = authority.sign(vec![dns("other.example")]);
    let strange = stranger.sign(vec![dns("scraper.example")]);
    let clients = [None, Some(&own), Some(&mail), Some(&address), Some(&uri), Some(&other), Some(&strange)];
    let verify = "  client_ca_file: ca.crt\n  client_auth_type: ";
    let sans = "  client_allowed_sans: [scraper.example, ops@example.org, 192.0.2.7, 'spiffe://example.org/scraper']\n";
    for (more, expect) in [
        ("  client_auth_type: NoClientCert\n".to_owned(), [true; 7]),
        ("  client_auth_type: RequestClientCert\n".to_owned(), [true; 7]),
        ("  client_auth_type: RequireAnyClientCert\n".to_owned(), [false, true, true, true, true, true, true]),
        (format!("{verify}VerifyClientCertIfGiven\n"), [true, true, true, true, true, true, false]),
        (format!("{verify}RequireAndVerifyClientCert\n"), [false, true, true, true, true, true, false]),
        (format!("{verify}RequireAndVerifyClientCert\n{sans}"), [false, true, true, true, true, false, false]),
        (format!("  client_auth_type: RequireAnyClientCert\n{sans}"), [false, true, true, true, true, false, true]),
    ] {
        let site = site(&folder, &more);
        for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
            for (at, own) in clients.iter().enumerate() {
                let status = status(&site, &authority.client_of(*own, &[version])).await;
                assert_eq!(status.is_some(), expect[at], "client {at}, {:?}: {more}", version.version);
                assert!(status.is_none_or(|status| status == 200), "{more}");
            }
        }
        site.stop().await;
    }
}

#[tokio::test]
async fn versions_and_curves_are_those_of_the_file() {
    let (folder, authority) = (Folder::new(), Authority::new());
    write_pair(&folder, &authority.server());
    for (more, old, new) in [
        ("  min_version: TLS13\n", false, true),
        ("  max_version: TLS12\n  cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256]\n", true, false),
        ("  max_version: TLS12\n  cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256]\n", false, false),
        ("  curve_preferences: [CurveP384]\n", true, true),
    ] {
        let site = site(&folder, more);
        let of = |version| authority.client_of(None, &[version]);
        assert_eq!(status(&site, &of(&rustls::version::TLS12)).await.is_some(), old, "{more}");
        assert_eq!(status(&site, &of(&rustls::version::TLS13)).await.is_some(), new, "{more}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_is_slow_at_the_handshake_is_cut_and_delays_nobody() {
    let (folder, authority) = (Folder::new(), Authority::new());
    write_pair(&folder, &authority.server());
    let site = site(&folder, "");
    let started = Instant::now();
    let mut slow = Vec::new();
    for begun in ["", "\u{16}\u{3}\u{1}"] {
        let mut client = site.connect().await;
        client.send(begun).await;
        slow.push(client);
    }
    assert_eq!(status(&site, &authority.client(None)).await, Some(200));
    assert!(started.elapsed() < Duration::from_secs(1));
    for mut client in slow {
        client.closed().await;
        let took = started.elapsed();
        assert!(took >= Duration::from_secs(10) && took < Duration::from_secs(12), "{took:?}");
    }
    let mut silent = connect(site.address, &authority.client(None)).await.expect("a handshake");
    let shaken = Instant::now();
    silent.closed().await;
    assert!(shaken.elapsed() <= Duration::from_secs(10), "the request has no deadline of its own");
}

#[tokio::test]
async fn a_silent_handshake_gives_its_place_to_a_newcomer() {
    let (folder, authority) = (Folder::new(), Authority::new());
    write_pair(&folder, &authority.server());
    let limits = Limits { connections: 1, ..Limits::default() };
    let site = Site::start_guarded("/metrics", limits, folder.guard(TLS));
    let mut silent = site.connect().await;
    assert_eq!(status(&site, &authority.client(None)).await, Some(200));
    silent.closed().await;
    let _silent = site.connect().await;
    timeout(Duration::from_secs(2), site.stop()).await.expect("a shutdown does not wait for a handshake");
}

#[tokio::test]
async fn plain_http_is_told_to_speak_https() {
    let (folder, authority) = (Folder::new(), Authority::new());
    write_pair(&folder, &authority.server());
    let answer = site(&folder, "").get("/metrics").await;
    assert_eq!((answer.status, answer.text()), (400, "error: this port speaks HTTPS; write `https://...`\n"));
}

#[tokio::test]
async fn a_large_scrape_arrives_whole_and_who_takes_no_byte_is_cut() {
    let (folder, authority) = (Folder::new(), Authority::new());
    write_pair(&folder, &authority.server());
    let limits = Limits { stalled: Duration::from_millis(300), ..Limits::default() };
    let site = Site::start_guarded("/metrics", limits, folder.guard(TLS));
    site.slot("orders").publish(block("orders", "mysql_conn_probe_success", 100_000), snapshot(None));
    let config = authority.client(None);
    let answer = connect(site.address, &config).await.expect("a handshake").get("/metrics", "").await;
    assert!(answer.text().ends_with('\n') && answer.body.len() > 1_000_000);
    let small = small_client(&site).await;
    let mut client = shake(small.0, &config).await.expect("a handshake");
    client.send("GET /metrics HTTP/1.1\r\nHost: test\r\n\r\n").await;
    places_held(&site, 1).await;
    places_held(&site, 0).await;
    client.closed().await;
}

#[test]
fn certificates_and_keys_may_stand_in_the_file_itself() {
    let (folder, pair) = (Folder::new(), Authority::new().server());
    let inline = |text: &str| text.lines().map(|line| format!("    {line}\n")).collect::<String>();
    let text = format!("tls_server_config:\n  cert: |\n{}  key: |\n{}", inline(&pair.cert), inline(&pair.key));
    folder.load(&text).map(drop).expect("good");
}

#[test]
fn files_that_cannot_be_used_are_named_with_their_key() {
    let (folder, authority) = (Folder::new(), Authority::new());
    let (pair, other) = (authority.server(), authority.server());
    write_pair(&folder, &pair);
    folder.write("other.key", &other.key);
    folder.write("empty", "");
    folder.write("torn.crt", &pair.cert[..pair.cert.len() / 2]);
    folder.write("locked.key", "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n");
    let with = |cert: &str, key: &str| format!("tls_server_config:\n  cert_file: {cert}\n  key_file: {key}\n");
    let clients = "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ";
    for (text, says) in [
        (
            with("none.crt", "server.key"),
            "web.yml:2:14: tls_server_config.cert_file: cannot read none.crt: No such file or directory; a relative path \
             starts from the folder of this file",
        ),
        (
            with("server.crt", "none.key"),
            "web.yml:3:13: tls_server_config.key_file: cannot read none.key: No such file or directory",
        ),
        (
            with("empty", "server.key"),
            "tls_server_config.cert_file: empty has no certificate in PEM form; it begins with",
        ),
        (with("torn.crt", "server.key"), "tls_server_config.cert_file: torn.crt is not good PEM"),
        (with("server.crt", "server.crt"), "tls_server_config.key_file: server.crt has no private key in PEM form"),
        (
            with("server.crt", "locked.key"),
            "tls_server_config.key_file: locked.key is encrypted, which is not supported",
        ),
        (
            with("server.crt", "other.key"),
            "web.yml:3:13: tls_server_config.key_file: is not the key of the certificate; write the two that were made \
             together",
        ),
        (
            with("server.crt", "server.key") + clients + "none.crt\n",
            "web.yml:5:19: tls_server_config.client_ca_file: cannot read none.crt",
        ),
        (
            with("server.crt", "server.key") + clients + "empty\n",
            "tls_server_config.client_ca_file: empty has no certificate in PEM form",
        ),
    ] {
        let told = folder.load(&text).map(drop).expect_err(&text);
        assert!(told.contains(says), "{text}\n{told}");
        assert!(told.starts_with("error: web.yml has 1 mistake\n"), "{told}");
    }
}
