//! Requests to the Hub and to the hosts that it sends its readers to. The token goes to the endpoint's origin and to no
//! other; redirects are followed by hand for that reason. Every wait is bounded, and every failure says whether another
//! attempt can help.

use std::time::{Duration, Instant};

use ureq::http::header::{ACCEPT_ENCODING, AUTHORIZATION, LOCATION, RANGE, RETRY_AFTER};
use ureq::http::{HeaderMap, Method, Request, Response, StatusCode};
use ureq::{Agent, Body};

use super::access::{Access, Patience};
use super::address::Address;
use super::certificates::trust;
use super::reference::nearest_repository;
use crate::error::{Error, Result};
use crate::progress::Progress;
use crate::source::error::SourceError;

/// Redirects on the way to one file.
const MOST_REDIRECTS: usize = 10;
/// How often a pause looks whether the process was asked to stop.
const GLANCE: Duration = Duration::from_millis(100);

/// Why a request failed.
pub(super) enum Failure {
    /// Another attempt can help.
    Temporary {
        /// The error, should there be no further attempt.
        error: Error,
        /// How long the server asks to wait.
        after: Option<Duration>,
        /// Whether this attempt brought the transfer on, so that it does not count.
        moved: bool,
    },
    /// Another attempt would fail alike.
    Final(Error),
}

impl Failure {
    /// Whether the server has no bytes where the request begins.
    pub(super) fn is_bad_range(&self) -> bool {
        let (Failure::Final(error) | Failure::Temporary { error, .. }) = self;
        matches!(error.downcast_ref(), Some(SourceError::Status { status: 416, .. }))
    }
}

impl Failure {
    pub(super) fn temporary(error: impl Into<Error>) -> Failure {
        Failure::Temporary { error: error.into(), after: None, moved: false }
    }
}

impl<E: Into<Error>> From<E> for Failure {
    fn from(error: E) -> Failure {
        Failure::Final(error.into())
    }
}

/// What a request is about, for the words of a refusal.
#[derive(Clone, Copy)]
pub(super) struct Subject<'a> {
    pub(super) repository: &'a str,
    pub(super) revision: &'a str,
    /// `None` where the request is about the repository.
    pub(super) file: Option<&'a str>,
}

/// Which redirects a request follows.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Follow {
    /// Those within the endpoint, as for a renamed repository; one that leaves it is the answer, for its headers.
    Endpoint,
    /// All but from https to http.
    Everywhere,
}

/// Which bytes of a file a request asks for.
#[derive(Clone, Copy)]
pub(super) enum ByteRange {
    All,
    /// Those from here on.
    From(u64),
    /// Those from the first to before the second.
    Between(u64, u64),
}

impl ByteRange {
    /// The value of `Range`.
    fn range(self) -> Option<String> {
        match self {
            ByteRange::All | ByteRange::From(0) => None,
            ByteRange::From(first) => Some(format!("bytes={first}-")),
            ByteRange::Between(first, end) => Some(format!("bytes={first}-{}", end.saturating_sub(1))),
        }
    }
}

/// The way to one endpoint.
pub(super) struct Transport {
    agent: Agent,
    endpoint: Address,
    token: Option<String>,
    patience: Patience,
}

impl Transport {
    pub(super) fn new(access: &Access) -> Result<Transport> {
        let Access { endpoint, token, patience, certificates, cache: _, offline: _, revision: _ } = access;
        let bad = || SourceError::BadEndpoint { endpoint: endpoint.clone() };
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .tls_config(trust(certificates.as_deref())?)
            .max_redirects(0)
            .user_agent(concat!("xfer/", env!("CARGO_PKG_VERSION")))
            .timeout_resolve(Some(patience.answer))
            .timeout_connect(Some(patience.answer))
            .timeout_send_request(Some(patience.answer))
            .timeout_recv_response(Some(patience.answer))
            .timeout_per_read(Some(patience.read))
            .build();
        Ok(Transport {
            agent: Agent::new_with_config(config),
            endpoint: Address::parse(endpoint).ok_or_else(bad)?,
            token: token.clone(),
            patience: *patience,
        })
    }

    /// How long it waits.
    pub(super) fn patience(&self) -> Patience {
        self.patience
    }

    /// The endpoint's address with `path` behind it, which begins with a slash and is encoded.
    pub(super) fn address(&self, path: &str) -> Result<Address> {
        let text = format!("{}{path}", self.endpoint.as_str());
        Address::parse(&text).ok_or_else(|| SourceError::BadEndpoint { endpoint: text }.into())
    }

    /// Repeats `attempt`, which is told its number from 1, while its failures are temporary and patience lasts.
    pub(super) fn retry<T>(
        &self,
        progress: &dyn Progress,
        mut attempt: impl FnMut(u32) -> std::result::Result<T, Failure>,
    ) -> Result<T> {
        let (mut number, mut pause) = (1, self.patience.pause);
        loop {
            progress.interrupted()?;
            match attempt(number) {
                Ok(value) => return Ok(value),
                Err(Failure::Final(error)) => return Err(error),
                Err(Failure::Temporary { error, after, moved }) => {
                    if moved {
                        (number, pause) = (1, self.patience.pause);
                    }
                    let wait = after.unwrap_or(pause);
                    if number >= self.patience.attempts || wait > self.patience.longest_pause {
                        return Err(error);
                    }
                    sleep(wait, progress)?;
                    (number, pause) = (number + 1, pause.saturating_mul(2));
                }
            }
        }
    }

    /// One request, its redirects, and a successful answer. A redirect is an answer only where `follow` does not go with it.
    pub(super) fn request(
        &self,
        method: &Method,
        address: &Address,
        wanted: ByteRange,
        follow: Follow,
        subject: Subject,
        attempt: u32,
    ) -> std::result::Result<Response<Body>, Failure> {
        let mut at = address.clone();
        for _ in 0..=MOST_REDIRECTS {
            let response = self.send(method, &at, wanted, attempt)?;
            let status = response.status();
            if status.is_success() {
                return Ok(response);
            }
            if !status.is_redirection() {
                return Err(self.refusal(&response, &at, subject, attempt));
            }
            let Some(next) = next_address(&at, response.headers()) else {
                return Err(at.wrong("a redirect's address").into());
            };
            let leaves = !next.same_origin(&self.endpoint) || response.headers().contains_key("x-linked-etag");
            if follow == Follow::Endpoint && leaves {
                return Ok(response);
            }
            if at.is_https() && !next.is_https() {
                return Err(at.wrong("a redirect that stays encrypted").into());
            }
            at = next;
        }
        Err(address.wrong("at most 10 redirects").into())
    }

    fn send(
        &self,
        method: &Method,
        address: &Address,
        wanted: ByteRange,
        attempt: u32,
    ) -> std::result::Result<Response<Body>, Failure> {
        // compressed, a body has neither the announced length nor ranges
        let mut request = Request::builder().method(method).uri(address.as_str()).header(ACCEPT_ENCODING, "identity");
        if let Some(range) = wanted.range() {
            request = request.header(RANGE, range);
        }
        if let Some(token) = self.token.as_ref().filter(|_| address.same_origin(&self.endpoint)) {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        let request = request.body(()).map_err(|_| address.wrong("an address that can be requested"))?;
        self.agent.run(request).map_err(|error| network(address.host(), attempt, error))
    }

    fn refusal(&self, response: &Response<Body>, at: &Address, subject: Subject, attempt: u32) -> Failure {
        let (status, headers) = (response.status(), response.headers());
        let after = retry_after(headers);
        let answer = SourceError::Status {
            address: at.shown(),
            status: status.as_u16(),
            attempts: attempt,
            after: after.map(|after| after.as_secs()),
        };
        let busy = matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT);
        if status.is_server_error() || busy {
            return Failure::Temporary { error: answer.into(), after, moved: false };
        }
        if !at.same_origin(&self.endpoint) {
            // the address was signed for a time that may be over: another attempt asks the endpoint for a new one
            return Failure::temporary(answer);
        }
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => self.no_entry(status, subject).into(),
            StatusCode::NOT_FOUND | StatusCode::GONE => not_found(headers, subject).into(),
            _ => answer.into(),
        }
    }

    fn no_entry(&self, status: StatusCode, subject: Subject) -> SourceError {
        let Subject { repository, .. } = subject;
        SourceError::NoEntry {
            repository: repository.to_string(),
            status: status.as_u16(),
            token_sent: self.token.is_some(),
            page: format!("{}/{repository}", self.endpoint.as_str()),
            near: nearest_repository(repository),
        }
    }
}

fn not_found(headers: &HeaderMap, subject: Subject) -> SourceError {
    let Subject { repository, revision, file } = subject;
    let code = headers.get("x-error-code").and_then(|code| code.to_str().ok());
    match (code, file) {
        (Some("RepoNotFound"), _) | (None, None) => {
            SourceError::NoRepository { repository: repository.to_string(), near: nearest_repository(repository) }
        }
        (_, Some(file)) if code != Some("RevisionNotFound") => SourceError::no_such_file(repository, file, &[]),
        (_, _) => SourceError::NoRevision { repository: repository.to_string(), revision: revision.to_string() },
    }
}

/// A failure of the connection.
pub(super) fn network(host: &str, attempt: u32, error: ureq::Error) -> Failure {
    Failure::temporary(SourceError::Network { host: host.to_string(), attempts: attempt, source: Box::new(error) })
}

fn next_address(at: &Address, headers: &HeaderMap) -> Option<Address> {
    at.join(headers.get(LOCATION)?.to_str().ok()?)
}

/// `Retry-After` in seconds, or the `t` of the Hub's own `RateLimit: "api";r=0;t=55`.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let reset = || text("ratelimit")?.split(';').find_map(|part| part.trim().strip_prefix("t="));
    let seconds = text(RETRY_AFTER.as_str()).and_then(|text| text.trim().parse().ok());
    seconds.or_else(|| reset()?.parse().ok()).map(Duration::from_secs)
}

/// Sleeps, unless the process is asked to stop.
pub(super) fn sleep(wait: Duration, progress: &dyn Progress) -> Result<()> {
    let start = Instant::now();
    while let Some(rest) = wait.checked_sub(start.elapsed()).filter(|rest| !rest.is_zero()) {
        progress.interrupted()?;
        std::thread::sleep(rest.min(GLANCE));
    }
    progress.interrupted()
}
