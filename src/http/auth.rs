//! Basic authentication: whether a request comes from one of the users.
//!
//! Comparing with a bcrypt hash takes a tenth of a second by intent. It is done beside the thread that the probes share,
//! few at once, and its result is kept: a scraper pays once. What is kept is a digest that is worth nothing elsewhere.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hyper::header::HeaderValue;
use rustls::crypto::{SecureRandom, ring};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use super::web_config::Users;

/// Comparisons at once.
const AT_ONCE: usize = 2;

/// How many results of each kind are kept. Wrong passwords never push out right ones.
const KEPT: usize = 256;

type Digest = Vec<u8>;

/// Who was let in and who was not.
#[derive(Debug)]
pub(super) struct Auth {
    /// Of this process; without one nothing is kept.
    salt: Option<[u8; 32]>,
    kept: Mutex<Kept>,
    turns: Arc<Semaphore>,
}

#[derive(Debug, Default)]
struct Kept {
    allowed: VecDeque<Digest>,
    refused: VecDeque<Digest>,
}

impl Auth {
    pub(super) fn new() -> Auth {
        let mut salt = [0; 32];
        let random: &dyn SecureRandom = ring::default_provider().secure_random;
        let salt = random.fill(&mut salt).is_ok().then_some(salt);
        Auth { salt, kept: Mutex::default(), turns: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    /// Whether the header `Authorization` names a user and its password.
    pub(super) async fn allows(&self, users: &Users, header: Option<&HeaderValue>) -> bool {
        let Some((name, password)) = header.and_then(credentials) else { return false };
        let (hash, is_known) = users.hash_of(&name);
        let hash = hash.expose().to_owned();
        let digest = self.digest(&[name.as_bytes(), hash.as_bytes(), &password]);
        if let Some(allowed) = self.remembers(digest.as_ref()) {
            return allowed;
        }
        let Ok(turn) = self.turns.clone().acquire_owned().await else { return false };
        // Whoever had the turn before may have asked the same.
        if let Some(allowed) = self.remembers(digest.as_ref()) {
            return allowed;
        }
        // The turn goes along: a comparison that has begun runs to its end, even when its client leaves.
        let compared = spawn_blocking(move || {
            let matches = bcrypt::verify(password, &hash).unwrap_or(false);
            drop(turn);
            matches
        });
        let allowed = compared.await.unwrap_or(false) && is_known;
        self.keep(digest, allowed);
        allowed
    }

    fn remembers(&self, digest: Option<&Digest>) -> Option<bool> {
        let digest = digest?;
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        match kept.allowed.contains(digest) {
            true => Some(true),
            false => kept.refused.contains(digest).then_some(false),
        }
    }

    fn keep(&self, digest: Option<Digest>, allowed: bool) {
        let Some(digest) = digest else { return };
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let list = if allowed { &mut kept.allowed } else { &mut kept.refused };
        if !list.contains(&digest) {
            list.truncate(KEPT - 1);
            list.push_front(digest);
        }
    }

    /// SHA-256 of the salt and the parts, each with its length, so that no two lists of parts are alike.
    fn digest(&self, parts: &[&[u8]]) -> Option<Digest> {
        let mut whole = self.salt?.to_vec();
        for part in parts {
            whole.extend_from_slice(&(part.len() as u64).to_le_bytes());
            whole.extend_from_slice(part);
        }
        let suite = ring::cipher_suite::TLS13_AES_128_GCM_SHA256.tls13()?;
        Some(suite.common.hash_provider.hash(&whole).as_ref().to_vec())
    }
}

/// `Basic` and base64 of name, colon and password (RFC 7617). A password may be any bytes.
fn credentials(header: &HeaderValue) -> Option<(String, Vec<u8>)> {
    let (scheme, rest) = header.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = BASE64_STANDARD.decode(rest.trim()).ok()?;
    let colon = decoded.iter().position(|byte| *byte == b':')?;
    let name = String::from_utf8(decoded[..colon].to_vec()).ok()?;
    Some((name, decoded[colon + 1..].to_vec()))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Mistakes;
    use crate::http::web_config;

    fn users() -> Users {
        let hash = bcrypt::hash("right", 4).expect("4 is a cost");
        let text = format!("basic_auth_users: {{alice: \"{hash}\"}}\n");
        let config = web_config::read(text.as_bytes(), &Arc::from(Path::new("web.yml")), &mut Mistakes::default());
        config.users.expect("one user")
    }

    fn basic(text: &str) -> HeaderValue {
        HeaderValue::from_str(&format!("Basic {}", BASE64_STANDARD.encode(text))).expect("ASCII")
    }

    #[tokio::test]
    async fn only_a_user_with_its_password_is_let_in() {
        let (auth, users) = (Auth::new(), users());
        for _ in 0..2 {
            for (text, expect) in [
                ("alice:right", true),
                ("alice:wrong", false),
                ("alice:", false),
                ("alice", false),
                ("bob:right", false),
                (":right", false),
                ("alice:right ", false),
            ] {
                assert_eq!(auth.allows(&users, Some(&basic(text))).await, expect, "{text}");
            }
        }
        assert!(!auth.allows(&users, None).await);
        for other in ["", "Basic", "Basic ", "Basic !", "Bearer YWxpY2U6cmlnaHQ="] {
            let header = HeaderValue::from_str(other).expect("ASCII");
            assert!(!auth.allows(&users, Some(&header)).await, "{other}");
        }
    }

    #[tokio::test]
    async fn a_flood_of_wrong_passwords_keeps_the_memory_and_the_right_ones() {
        let (auth, users) = (Auth::new(), users());
        assert!(auth.allows(&users, Some(&basic("alice:right"))).await);
        for number in 0..KEPT + 10 {
            assert!(!auth.allows(&users, Some(&basic(&format!("alice:{number}")))).await);
        }
        let kept = auth.kept.lock().unwrap();
        assert_eq!((kept.allowed.len(), kept.refused.len()), (1, KEPT));
    }

    #[tokio::test]
    async fn what_is_kept_needs_no_turn_and_the_rest_waits_for_one() {
        let (auth, users) = (Auth::new(), users());
        assert!(auth.allows(&users, Some(&basic("alice:right"))).await);
        let all = auth.turns.clone().acquire_many_owned(AT_ONCE as u32).await.unwrap();
        assert!(auth.allows(&users, Some(&basic("alice:right"))).await);
        let header = basic("alice:other");
        let waiting = auth.allows(&users, Some(&header));
        let soon = std::time::Duration::from_millis(50);
        assert!(tokio::time::timeout(soon, waiting).await.is_err(), "no turn is free");
        drop(all);
        assert!(!auth.allows(&users, Some(&header)).await);
    }

    #[test]
    fn an_unknown_user_costs_what_a_known_one_does() {
        let users = users();
        let cost = |name| users.hash_of(name).0.expose()[4..6].to_owned();
        assert_eq!(cost("alice"), cost("nobody"));
        let nobody = users.hash_of("nobody").0.expose().to_owned();
        assert!(bcrypt::verify("x", &nobody).is_ok(), "the dummy is a hash");
    }
}
