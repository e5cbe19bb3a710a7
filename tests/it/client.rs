//! A client of the servers under test: one attempt, as the probe makes it.

use std::time::Duration;

use goneaway::config::secret::Secret;
use goneaway::config::{Tls, TlsMode, TlsVersion};
use goneaway::mysql::endpoint::Endpoint;
use goneaway::mysql::failure::Failure;
use goneaway::mysql::handshake::{Access, Connection, Dialed, PhaseTimes, SystemRoots, TlsPolicy, dial, resolve};
use tokio::time::Instant;

use crate::servers::{Server, tls};

/// Longer than anything takes that works.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) fn access(endpoint: Endpoint, user: &str, password: &str, tls: TlsPolicy) -> Access {
    Access {
        endpoint,
        user: user.into(),
        password: Secret::new(password),
        database: None,
        tls,
        cleartext: false,
        lookup: Default::default(),
        driver_fails: Default::default(),
    }
}

pub(crate) fn at(host: &str, server: &Server) -> Endpoint {
    Endpoint::Tcp { host: host.into(), port: server.port }
}

/// TLS settings of a mode that trusts the authority of the test servers.
pub(crate) fn settings(mode: TlsMode) -> Tls {
    let ca = Some(tls().ca.clone());
    Tls { mode, ca, cert: None, key: None, server_name: None, min_version: TlsVersion::Tls12 }
}

pub(crate) fn policy(settings: &Tls) -> TlsPolicy {
    TlsPolicy::load(settings, &SystemRoots::default()).expect("the files of the tests are good")
}

/// Resolves and dials.
pub(crate) async fn dialed(access: &Access, times: &mut PhaseTimes) -> Dialed {
    let deadline = Instant::now() + PATIENCE;
    let addresses = resolve(access, deadline, times).await.expect("an address");
    dial(access, &addresses, PATIENCE, deadline, times).await.expect("it listens")
}

/// Dials and logs in.
pub(crate) async fn attempt(access: &Access) -> Result<(Connection, PhaseTimes), Failure> {
    attempt_within(access, PATIENCE).await
}

pub(crate) async fn attempt_within(access: &Access, time: Duration) -> Result<(Connection, PhaseTimes), Failure> {
    let deadline = Instant::now() + time;
    let mut times = PhaseTimes::default();
    let addresses = resolve(access, deadline, &mut times).await?;
    let dialed = dial(access, &addresses, time, deadline, &mut times).await?;
    let connection = dialed.login(access, deadline, &mut times).await?;
    Ok((connection, times))
}

/// The first value of a statement's answer.
pub(crate) async fn ask(connection: &mut Connection, sql: &str) -> String {
    let rows = connection.query(sql, Instant::now() + PATIENCE).await.expect(sql);
    rows.scalar().unwrap_or("NULL").to_owned()
}

/// Waits until something is so.
pub(crate) async fn settled(mut condition: impl AsyncFnMut() -> bool) {
    found(async || condition().await.then_some(())).await;
}

/// Looks until there is something, and returns it. Other programs tell nobody when they change: they are polled.
pub(crate) async fn found<T>(mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < deadline, "still not so");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
