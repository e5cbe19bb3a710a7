//! The closed set of what answers, and the statuses that each of them can give.

use hyper::StatusCode;

/// What answers a request; the label `handler`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Handler {
    Metrics,
    Probe,
    Discovery,
    Health,
    HealthDb,
    HealthDetailed,
    Status,
    Healthy,
    Ready,
    Events,
    Recover,
    Reload,
    Page,
    /// What a page is made of besides its text.
    Asset,
    NotFound,
    /// Nothing answers: the request may not go on.
    Refused,
}

impl Handler {
    pub(super) const ALL: [Handler; 16] = [
        Handler::Metrics,
        Handler::Probe,
        Handler::Discovery,
        Handler::Health,
        Handler::HealthDb,
        Handler::HealthDetailed,
        Handler::Status,
        Handler::Healthy,
        Handler::Ready,
        Handler::Events,
        Handler::Recover,
        Handler::Reload,
        Handler::Page,
        Handler::Asset,
        Handler::NotFound,
        Handler::Refused,
    ];

    /// Which one answers on this path. The configured path of the metrics wins, whatever else it would be.
    pub(super) fn of(path: &str, telemetry_path: &str) -> Handler {
        if path == telemetry_path {
            return Handler::Metrics;
        }
        match path {
            "/health" | "/api/health" => Handler::Health,
            "/health/db" | "/api/health/db" => Handler::HealthDb,
            "/health/detailed" | "/api/health/detailed" => Handler::HealthDetailed,
            "/api/status" => Handler::Status,
            "/-/healthy" => Handler::Healthy,
            "/-/ready" => Handler::Ready,
            "/probe" => Handler::Probe,
            "/sd" => Handler::Discovery,
            "/events" => Handler::Events,
            "/-/recover" => Handler::Recover,
            "/-/reload" => Handler::Reload,
            "/" => Handler::Page,
            "/-/page.css" | "/-/page.js" | "/-/page.svg" => Handler::Asset,
            _ => Handler::NotFound,
        }
    }

    /// Whether asking makes something happen.
    pub(super) fn changes(self) -> bool {
        matches!(self, Handler::Recover | Handler::Reload)
    }

    pub(super) fn label(self) -> &'static str {
        match self {
            Handler::Metrics => "metrics",
            Handler::Probe => "probe",
            Handler::Discovery => "sd",
            Handler::Health => "health",
            Handler::HealthDb => "health_db",
            Handler::HealthDetailed => "health_detailed",
            Handler::Status => "status",
            Handler::Healthy => "healthy",
            Handler::Ready => "ready",
            Handler::Events => "events",
            Handler::Recover => "recover",
            Handler::Reload => "reload",
            Handler::Page => "page",
            Handler::Asset => "asset",
            Handler::NotFound => "not_found",
            Handler::Refused => "refused",
        }
    }

    /// Every status it can give: all of them are counted from 0.
    pub(super) fn statuses(self) -> &'static [StatusCode] {
        match self {
            Handler::Metrics => &[
                StatusCode::OK,
                StatusCode::BAD_REQUEST,
                StatusCode::METHOD_NOT_ALLOWED,
                StatusCode::SERVICE_UNAVAILABLE,
            ],
            Handler::Probe => &[
                StatusCode::OK,
                StatusCode::BAD_REQUEST,
                StatusCode::FORBIDDEN,
                StatusCode::METHOD_NOT_ALLOWED,
                StatusCode::SERVICE_UNAVAILABLE,
            ],
            Handler::HealthDb => &[
                StatusCode::OK,
                StatusCode::BAD_REQUEST,
                StatusCode::METHOD_NOT_ALLOWED,
                StatusCode::SERVICE_UNAVAILABLE,
            ],
            Handler::Ready => &[StatusCode::OK, StatusCode::METHOD_NOT_ALLOWED, StatusCode::SERVICE_UNAVAILABLE],
            Handler::Events | Handler::Discovery | Handler::Status | Handler::Page => {
                &[StatusCode::OK, StatusCode::BAD_REQUEST, StatusCode::METHOD_NOT_ALLOWED]
            }
            Handler::Recover => {
                &[StatusCode::ACCEPTED, StatusCode::BAD_REQUEST, StatusCode::FORBIDDEN, StatusCode::METHOD_NOT_ALLOWED]
            }
            Handler::Reload => &[
                StatusCode::OK,
                StatusCode::BAD_REQUEST,
                StatusCode::FORBIDDEN,
                StatusCode::METHOD_NOT_ALLOWED,
                StatusCode::SERVICE_UNAVAILABLE,
            ],
            Handler::NotFound => &[StatusCode::NOT_FOUND],
            Handler::Refused => &[StatusCode::UNAUTHORIZED, StatusCode::TOO_MANY_REQUESTS],
            Handler::Health | Handler::HealthDetailed | Handler::Healthy | Handler::Asset => {
                &[StatusCode::OK, StatusCode::METHOD_NOT_ALLOWED]
            }
        }
    }
}

/// The paths that answer, for who asked for another one.
pub(super) const PATHS: [&str; 13] = [
    "/",
    "/health",
    "/health/db",
    "/health/detailed",
    "/api/health",
    "/api/health/db",
    "/api/health/detailed",
    "/api/status",
    "/-/healthy",
    "/-/ready",
    "/events",
    "/probe",
    "/sd",
];
