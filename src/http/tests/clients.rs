//! Clients that are slow, silent, greedy or broken, and the end of it all.

use std::io;
use std::task::Poll;

use tokio::net::TcpSocket;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::*;
use crate::http::accept::run;
use crate::http::places::SCRAPES;
use crate::http::stream::Stream;

/// Far more than sockets hold.
const HUGE: usize = 100_000;

/// A client whose own socket takes next to nothing.
pub(super) async fn small_client(site: &Site) -> Client {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    Client(socket.connect(site.address).await.unwrap())
}

pub(super) fn make_scrapes_huge(site: &Site) {
    site.slot("orders").publish(block("orders", "mysql_conn_probe_success", HUGE), snapshot(None));
}

/// Waits until so many scrapes hold their place.
pub(super) async fn places_held(site: &Site, held: usize) {
    let reached = async {
        while site.state.places.free.available_permits() != SCRAPES - held {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(10), reached).await.unwrap_or_else(|_| panic!("{held} scrapes never held a place"));
}

#[tokio::test(start_paused = true)]
async fn who_asks_nothing_or_slowly_is_cut() {
    let site = Site::start(Limits::default());
    for begun in ["", "G", "GET /health HTTP/1.1\r\nHost: test\r\nX: "] {
        let started = Instant::now();
        let mut client = site.connect().await;
        client.send(begun).await;
        client.closed().await;
        let took = started.elapsed();
        assert!(took >= Duration::from_secs(10) && took < Duration::from_secs(11), "{begun:?}: {took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_scraper_may_rest_for_minutes_and_not_for_ever() {
    let site = Site::start(Limits::default());
    let mut client = site.connect().await;
    for _ in 0..3 {
        assert_eq!(client.get("/health", "").await.status, 200);
        tokio::time::sleep(Duration::from_secs(120)).await;
    }
    let rested = Instant::now();
    client.closed().await;
    assert!(rested.elapsed() > Duration::from_secs(175) && rested.elapsed() < Duration::from_secs(185));
}

#[tokio::test]
async fn who_does_not_read_holds_a_place_and_then_is_cut_while_health_answers() {
    let limits = Limits { answering: Duration::from_secs(1), ..Limits::default() };
    let site = Site::start(limits);
    make_scrapes_huge(&site);
    let mut clients = Vec::new();
    for _ in 0..3 {
        let mut client = small_client(&site).await;
        client.send("GET /metrics HTTP/1.1\r\nHost: test\r\n\r\n").await;
        clients.push(client);
    }
    places_held(&site, 3).await;
    assert_eq!(site.get("/health").await.status, 200);
    places_held(&site, 0).await;
    for mut client in clients {
        client.closed().await;
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_place_a_scrape_is_told_to_come_again_and_health_is_not() {
    let site = Site::start(Limits::default());
    let places = site.state.places.free.clone().acquire_many_owned(SCRAPES as u32).await.unwrap();
    let answer = site.get("/metrics").await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, "1"));
    assert_eq!(site.get("/health").await.status, 200);
    drop(places);
    assert!(site.get("/metrics").await.text().contains("promhttp_metric_handler_requests_total{code=\"503\"} 1\n"));
}

#[tokio::test]
async fn who_takes_no_byte_is_cut_long_before_the_end_of_answering() {
    let site = Site::start(Limits { stalled: Duration::from_millis(200), ..Limits::default() });
    make_scrapes_huge(&site);
    let mut client = small_client(&site).await;
    client.send("GET /metrics HTTP/1.1\r\nHost: test\r\n\r\n").await;
    places_held(&site, 1).await;
    places_held(&site, 0).await;
    client.closed().await;
}

#[tokio::test]
async fn a_newcomer_gets_the_place_of_who_does_not_read() {
    let site = Site::start(Limits::default());
    make_scrapes_huge(&site);
    let others = site.state.places.free.clone().acquire_many_owned(SCRAPES as u32 - 1).await.unwrap();
    let mut stuck = small_client(&site).await;
    stuck.send("GET /metrics HTTP/1.1\r\nHost: test\r\n\r\n").await;
    places_held(&site, SCRAPES).await;
    assert_eq!(site.get("/metrics").await.status, 200);
    stuck.closed().await;
    drop(others);
}

#[tokio::test]
async fn a_large_scrape_waits_for_its_turn_beside_the_thread() {
    let site = Site::start(Limits::default());
    let turns = site.state.large.clone().acquire_many_owned(2).await.unwrap();
    assert_eq!(site.get("/metrics").await.status, 200, "a small one needs none");
    make_scrapes_huge(&site);
    for method in ["GET", "HEAD"] {
        let mut client = site.connect().await;
        let asked = client.request(method, "/metrics", "");
        assert!(timeout(Duration::from_millis(100), asked).await.is_err(), "{method} was made on the thread");
    }
    drop(turns);
    assert_eq!(site.get("/metrics").await.status, 200);
}

#[tokio::test]
async fn a_place_comes_back_with_the_last_byte() {
    let site = Site::start(Limits::default());
    make_scrapes_huge(&site);
    let mut client = site.connect().await;
    assert!(client.get("/metrics", "").await.body.len() > 5_000_000);
    places_held(&site, 0).await;
    assert_eq!(client.get("/health", "").await.status, 200);
}

#[tokio::test]
async fn more_connections_than_places_do_not_keep_a_health_check_out() {
    let limits = Limits { connections: 8, ..Limits::default() };
    let site = Site::start(limits);
    let mut scraper = site.connect().await;
    scraper.get("/metrics", "").await;
    let mut others = Vec::new();
    for begun in ["", "GET /metrics HT", "", "GET / HTTP/1.1\r\n"].iter().cycle().take(40) {
        let mut client = site.connect().await;
        client.send(begun).await;
        others.push(client);
        let answer = timeout(Duration::from_secs(5), site.get("/health")).await.expect("health answers at once");
        assert_eq!(answer.status, 200);
    }
    timeout(Duration::from_secs(5), scraper.closed()).await.expect("who rests makes room first");
    timeout(Duration::from_secs(5), others[0].closed()).await.expect("then who asks nothing");
}

#[tokio::test]
async fn who_does_not_read_makes_room_too_when_all_places_are_taken() {
    let site = Site::start(Limits { connections: 3, ..Limits::default() });
    make_scrapes_huge(&site);
    let mut clients = Vec::new();
    for held in 1..=3 {
        let mut client = small_client(&site).await;
        client.send("GET /metrics HTTP/1.1\r\nHost: test\r\n\r\n").await;
        clients.push(client);
        places_held(&site, held).await;
    }
    assert_eq!(site.get("/health").await.status, 200);
    places_held(&site, 2).await;
    clients[0].closed().await;
}

#[tokio::test]
async fn a_connection_is_reused_and_requests_may_come_together() {
    let site = Site::start(Limits::default());
    let mut client = site.connect().await;
    let two = "GET /health HTTP/1.1\r\nHost: test\r\n\r\nGET /-/ready HTTP/1.1\r\nHost: test\r\n\r\n";
    for _ in 0..3 {
        client.send(two).await;
        assert_eq!(client.answer(true).await.unwrap().text(), "ok\n");
        assert_eq!(client.answer(true).await.unwrap().status, 503);
    }
}

#[tokio::test]
async fn garbage_ends_the_connection_and_nothing_else() {
    let site = Site::start(Limits::default());
    let long = "x".repeat(20_000);
    let many: String = (0..120).map(|n| format!("h{n}: 1\r\n")).collect();
    for (garbage, status) in [
        ("\u{16}\u{3}\u{1}\u{2}\u{0}\r\n\r\n".to_owned(), Some(400)),
        ("GET /health HTTP/1.1\r\nno colon\r\n\r\n".to_owned(), Some(400)),
        (format!("GET /health HTTP/1.1\r\nA: {long}\r\n\r\n"), Some(431)),
        (format!("GET /health HTTP/1.1\r\n{many}\r\n"), Some(431)),
        (format!("GET /{long} HTTP/1.1\r\n\r\n"), Some(431)),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(), None),
    ] {
        let mut client = site.connect().await;
        client.send("GET /health HTTP/1.1\r\nHost: test\r\n\r\n").await;
        assert_eq!(client.answer(true).await.unwrap().status, 200);
        client.send(&garbage).await;
        let answer = client.answer(true).await.map(|answer| answer.status);
        assert_eq!(answer, status, "{:?}", garbage.get(..40));
        client.closed().await;
    }
    assert_eq!(site.get("/health").await.status, 200);
}

#[tokio::test]
async fn a_request_body_is_not_waited_for() {
    let site = Site::start(Limits::default());
    for headers in ["Content-Length: 1000000\r\n", "Transfer-Encoding: chunked\r\n"] {
        let mut client = site.connect().await;
        assert_eq!(client.get("/health", headers).await.status, 200);
        client.closed().await;
    }
}

#[tokio::test]
async fn shutting_down_closes_who_rests_and_finishes_what_was_begun() {
    let site = Site::start(Limits::default());
    make_scrapes_huge(&site);
    let mut resting = site.connect().await;
    resting.get("/health", "").await;
    let mut silent = site.connect().await;
    let mut half = site.connect().await;
    half.send("GET /health HTTP/1.1\r\n").await;
    let mut reading = small_client(&site).await;
    reading.send("GET /metrics HTTP/1.1\r\nHost: test\r\n\r\n").await;
    places_held(&site, 1).await;
    let address = site.address;
    let Site { shutdown, served, .. } = site;
    shutdown.send(()).unwrap();
    resting.closed().await;
    silent.closed().await;
    half.closed().await;
    assert!(TcpStream::connect(address).await.is_err(), "nobody listens any more");
    assert!(!served.is_finished());
    let answer = reading.answer(true).await.expect("the whole answer");
    assert!(answer.text().ends_with('\n') && answer.body.len() > 5_000_000);
    served.await.unwrap();
}

#[tokio::test]
async fn shutting_down_waits_for_the_grace_and_no_longer() {
    let site = Site::start(Limits { grace: Duration::from_millis(200), ..Limits::default() });
    make_scrapes_huge(&site);
    let mut stuck = small_client(&site).await;
    stuck.send("GET /metrics HTTP/1.1\r\nHost: test\r\n\r\n").await;
    places_held(&site, 1).await;
    let told = Instant::now();
    let state = site.state.clone();
    site.stop().await;
    assert!(told.elapsed() >= Duration::from_millis(200) && told.elapsed() < Duration::from_secs(3));
    assert_eq!(state.places.free.available_permits(), SCRAPES);
}

/// Accepting as the test says.
struct Scripted {
    accepts: mpsc::UnboundedSender<io::Result<TcpStream>>,
    run: JoinHandle<()>,
    shutdown: oneshot::Sender<()>,
}

fn scripted(site: &Site) -> Scripted {
    let (accepts, mut given) = mpsc::unbounded_channel::<io::Result<TcpStream>>();
    let (shutdown, told) = oneshot::channel::<()>();
    let state = site.state.clone();
    let run = tokio::spawn(async move {
        let accept = |cx: &mut std::task::Context<'_>| match given.poll_recv(cx) {
            Poll::Ready(Some(accepted)) => Poll::Ready(accepted.map(Stream::Tcp)),
            Poll::Ready(None) | Poll::Pending => Poll::Pending,
        };
        drop(run(accept, state, Limits::default(), async { told.await.unwrap_or(()) }).await);
    });
    Scripted { accepts, run, shutdown }
}

async fn pair() -> (Client, TcpStream) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (Client(client), listener.accept().await.unwrap().0)
}

#[tokio::test(start_paused = true)]
async fn without_descriptors_it_goes_on_with_pauses_and_an_idle_connection_gives_its_own() {
    let site = Site::start(Limits::default());
    let scripted = scripted(&site);
    let (mut resting, accepted) = pair().await;
    scripted.accepts.send(Ok(accepted)).unwrap();
    resting.get("/health", "").await;
    let started = Instant::now();
    for _ in 0..20 {
        scripted.accepts.send(Err(io::Error::from_raw_os_error(libc::EMFILE))).unwrap();
    }
    let (mut next, accepted) = pair().await;
    scripted.accepts.send(Ok(accepted)).unwrap();
    resting.closed().await;
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
    assert_eq!(next.get("/health", "").await.status, 200);
    let took = started.elapsed();
    assert!(took > Duration::from_secs(10) && took < Duration::from_secs(20), "a second between attempts: {took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_is_heard_in_a_pause() {
    let site = Site::start(Limits::default());
    let Scripted { accepts, run, shutdown } = scripted(&site);
    for _ in 0..10 {
        accepts.send(Err(io::Error::from_raw_os_error(libc::ENFILE))).unwrap();
    }
    tokio::time::sleep(Duration::from_millis(700)).await;
    let told = Instant::now();
    shutdown.send(()).unwrap();
    run.await.unwrap();
    assert!(told.elapsed() < Duration::from_millis(5));
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_ended_before_it_was_accepted_costs_no_pause() {
    let site = Site::start(Limits::default());
    let scripted = scripted(&site);
    scripted.accepts.send(Err(io::Error::from_raw_os_error(libc::ECONNABORTED))).unwrap();
    let (mut client, accepted) = pair().await;
    scripted.accepts.send(Ok(accepted)).unwrap();
    let started = Instant::now();
    assert_eq!(client.get("/health", "").await.status, 200);
    assert_eq!(started.elapsed(), Duration::ZERO, "paused time stands still without a timer");
}
