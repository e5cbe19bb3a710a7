//! Answers of one kind each: text, JSON, a page. All of them whole and in memory.

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue, REFERRER_POLICY};
use hyper::{Response, StatusCode};

pub(super) type Reply = Response<Full<Bytes>>;

/// A few lines for a person or a load balancer.
pub(super) fn text(status: StatusCode, body: impl Into<Bytes>) -> Reply {
    fresh(status, "text/plain; charset=utf-8", body)
}

pub(super) fn json(status: StatusCode, body: impl Into<Bytes>) -> Reply {
    fresh(status, "application/json", body)
}

/// How healthy something is, in the form that is named so.
pub(super) fn health_json(body: impl Into<Bytes>) -> Reply {
    fresh(StatusCode::OK, "application/health+json", body)
}

/// A page that loads only what is its own, and runs only that.
pub(super) fn html(body: impl Into<Bytes>) -> Reply {
    let mut reply = fresh(StatusCode::OK, "text/html; charset=utf-8", body);
    let policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                  frame-ancestors 'none'; base-uri 'none'; form-action 'none'";
    let headers = reply.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    reply
}

/// A part of a page. It is small, and of another release behind the same address it may be another.
pub(super) fn asset(content_type: &'static str, body: &'static str) -> Reply {
    fresh(StatusCode::OK, content_type, body)
}

/// How things are now: no cache may keep it.
fn fresh(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Reply {
    let mut reply = with_type(status, content_type, body);
    reply.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    reply
}

/// Names shown here come from configurations and clients: a browser must not guess another type.
pub(super) fn with_type(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Reply {
    let mut reply = Response::new(Full::new(body.into()));
    *reply.status_mut() = status;
    let headers = reply.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(HeaderName::from_static("x-content-type-options"), HeaderValue::from_static("nosniff"));
    reply
}
