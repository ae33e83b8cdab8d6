//! Addresses of the web: which origin they belong to, and where a redirect leads.

use ureq::http::Uri;

use crate::source::error::SourceError;

/// An absolute `http://` or `https://` address.
#[derive(Clone, Debug)]
pub(super) struct Address {
    text: String,
    uri: Uri,
}

impl Address {
    /// `None` where the text is not an absolute address of the web.
    pub(super) fn parse(text: &str) -> Option<Address> {
        let uri: Uri = text.parse().ok()?;
        let is_web =
            matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some_and(|host| !host.is_empty());
        is_web.then(|| Address { text: text.to_string(), uri })
    }

    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    pub(super) fn host(&self) -> &str {
        self.uri.host().unwrap_or_default()
    }

    pub(super) fn is_https(&self) -> bool {
        self.uri.scheme_str() == Some("https")
    }

    fn port(&self) -> u16 {
        self.uri.port_u16().unwrap_or(if self.is_https() { 443 } else { 80 })
    }

    /// Whether scheme, host and port are equal: the boundary that the token does not cross.
    pub(super) fn same_origin(&self, other: &Address) -> bool {
        self.is_https() == other.is_https()
            && self.host().eq_ignore_ascii_case(other.host())
            && self.port() == other.port()
    }

    /// The address of a `Location` header: absolute, `//host/path`, `/path`, or relative to the folder of this one.
    pub(super) fn join(&self, location: &str) -> Option<Address> {
        let scheme = self.uri.scheme_str()?;
        let authority = self.uri.authority()?;
        if location.contains("://") && !location.starts_with(['/', '?']) {
            return Address::parse(location);
        }
        if location.starts_with("//") {
            return Address::parse(&format!("{scheme}:{location}"));
        }
        if location.starts_with('/') {
            return Address::parse(&format!("{scheme}://{authority}{location}"));
        }
        let folder = self.uri.path().rsplit_once('/').map_or("", |(folder, _)| folder);
        Address::parse(&format!("{scheme}://{authority}{folder}/{location}"))
    }

    /// For errors: without the query, which may carry a signature.
    pub(super) fn shown(&self) -> String {
        format!(
            "{}://{}:{}{}",
            if self.is_https() { "https" } else { "http" },
            self.host(),
            self.port(),
            self.uri.path()
        )
    }

    /// An answer from here that no Hub gives; another attempt would be answered alike.
    pub(super) fn wrong(&self, expected: &'static str) -> SourceError {
        SourceError::WrongAnswer { address: self.shown(), expected }
    }
}
