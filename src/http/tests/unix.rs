//! The same over a unix socket: every limit, and TLS.

use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::UnixStream;
use tokio_rustls::TlsConnector;

use super::clients::{make_scrapes_huge, places_held};
use super::*;

/// Serves what a site has over a unix socket too, until the test ends.
async fn unix(site: &Site, folder: &Folder, limits: Limits) -> PathBuf {
    let path = folder.path().join("metrics.sock");
    let listeners = bind(&[format!("unix:{}", path.display())]).expect("the folder is ours");
    tokio::spawn(serve(listeners, site.state.clone(), limits, std::future::pending()));
    path
}

async fn client(path: &Path) -> Client<UnixStream> {
    Client(UnixStream::connect(path).await.expect("it listens"))
}

#[tokio::test]
async fn it_answers_as_tcp_does_and_connections_are_reused() {
    let (folder, site) = (Folder::new(), Site::start(Limits::default()));
    site.probed("orders", None);
    let path = unix(&site, &folder, Limits::default()).await;
    let mut client = client(&path).await;
    for _ in 0..3 {
        assert_eq!(client.get("/health", "").await.text(), "ok\n");
    }
    let (here, there) = (client.get("/metrics", "").await, site.get("/metrics").await);
    let line = "mysql_conn_probe_success{target=\"orders\",n=\"0\"} 0\n";
    assert!(here.text().contains(line) && there.text().contains(line), "{}", here.text());
}

#[tokio::test(start_paused = true)]
async fn who_asks_nothing_or_slowly_is_cut() {
    let (folder, site) = (Folder::new(), Site::start(Limits::default()));
    let path = unix(&site, &folder, Limits::default()).await;
    for begun in ["", "GET /health HTTP/1.1\r\nHost: test\r\nX: "] {
        let started = Instant::now();
        let mut client = client(&path).await;
        client.send(begun).await;
        client.closed().await;
        let took = started.elapsed();
        assert!(took >= Duration::from_secs(10) && took < Duration::from_secs(11), "{begun:?}: {took:?}");
    }
}

#[tokio::test]
async fn who_takes_no_byte_is_cut_long_before_the_end_of_answering() {
    let limits = Limits { stalled: Duration::from_millis(200), ..Limits::default() };
    let (folder, site) = (Folder::new(), Site::start(limits));
    make_scrapes_huge(&site);
    let path = unix(&site, &folder, limits).await;
    let mut client = client(&path).await;
    client.send("GET /metrics HTTP/1.1\r\nHost: test\r\n\r\n").await;
    places_held(&site, 1).await;
    places_held(&site, 0).await;
    client.closed().await;
}

#[tokio::test(start_paused = true)]
async fn who_reads_slowly_gets_the_whole_answer() {
    let limits = Limits { stalled: Duration::from_secs(1), ..Limits::default() };
    let (folder, site) = (Folder::new(), Site::start(limits));
    make_scrapes_huge(&site);
    let path = unix(&site, &folder, limits).await;
    let mut client = client(&path).await;
    client.send("GET /metrics HTTP/1.1\r\nHost: test\r\n\r\n").await;
    // It takes three seconds, longer than may pass without a byte.
    let mut head = vec![0; 512 * 1024];
    for part in head.chunks_mut(8 * 1024) {
        client.0.read_exact(part).await.expect("it is not cut");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let text = String::from_utf8(head).expect("ASCII");
    let length = text.split_once("content-length: ").expect("a length").1.split('\r').next().expect("a line");
    let begun = text.split_once("\r\n\r\n").expect("a head").1.len();
    let mut rest = vec![0; length.parse::<usize>().expect("a number") - begun];
    client.0.read_exact(&mut rest).await.expect("the whole answer");
}

#[tokio::test]
async fn a_newcomer_gets_in_when_all_places_are_taken() {
    let limits = Limits { connections: 3, ..Limits::default() };
    let (folder, site) = (Folder::new(), Site::start(limits));
    let path = unix(&site, &folder, limits).await;
    let mut others = Vec::new();
    for _ in 0..10 {
        others.push(client(&path).await);
        assert_eq!(client(&path).await.get("/health", "").await.status, 200);
    }
    others[0].closed().await;
}

#[tokio::test]
async fn tls_of_the_web_configuration_works_and_plain_http_is_told_so() {
    let folder = Folder::new();
    let key = KeyPair::generate().unwrap();
    let cert = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
    folder.write("server.crt", &cert.pem());
    folder.write("server.key", &key.serialize_pem());
    let guard = folder.guard("tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n");
    assert_eq!((guard.scheme(), Guard::open().scheme()), ("https", "http"));
    let site = Site::start_guarded("/metrics", Limits::default(), guard);
    let path = unix(&site, &folder, Limits::default()).await;

    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(cert.der().to_vec())).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = Arc::new(config.with_root_certificates(roots).with_no_client_auth());
    let stream = UnixStream::connect(&path).await.unwrap();
    let stream = TlsConnector::from(config).connect(ServerName::try_from("localhost").unwrap(), stream).await.unwrap();
    assert_eq!(Client(stream).get("/health", "").await.status, 200);

    let answer = client(&path).await.get("/health", "").await;
    assert_eq!((answer.status, answer.text()), (400, "error: this port speaks HTTPS; write `https://...`\n"));
}
