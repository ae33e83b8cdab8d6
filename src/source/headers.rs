//! What the headers of an answer state.

use ureq::Body;
use ureq::http::header::CONTENT_RANGE;
use ureq::http::{HeaderMap, Response};

pub(super) fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// An etag that may be a file's name: it comes from a server.
pub(super) fn is_blob_name(etag: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (1..=128).contains(&etag.len()) && etag.bytes().all(allowed)
}

/// The first and the last byte of the answer and how many the file has, as `Content-Range: bytes first-last/total` says.
pub(super) fn content_range(headers: &HeaderMap) -> Option<(u64, u64, u64)> {
    let (range, total) = text(headers, CONTENT_RANGE.as_str())?.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    Some((first.parse().ok()?, last.parse().ok()?, total.parse().ok()?))
}

/// Whether an answer holds the bytes from `offset` to the last one that was announced.
pub(super) fn is_rest(response: &Response<Body>, offset: u64, announced: Option<u64>) -> bool {
    content_range(response.headers()).is_some_and(|(first, last, total)| {
        first == offset && last.checked_add(1) == Some(total) && announced.is_none_or(|bytes| bytes == total)
    })
}
