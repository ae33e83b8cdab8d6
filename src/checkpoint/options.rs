//! How weights are opened.

/// How weights are opened.
#[derive(Clone, Copy, Debug, Default)]
pub struct OpenOptions<'a> {
    /// Which dictionary of a file that nests them (`--key`): keys from the outside in, joined by dots; `.` for all of them.
    /// By default the usual containers. Formats without dictionaries take no notice.
    pub key: Option<&'a str>,
    /// Whether a low-rank adapter is opened as such (there is a base to put it on), or refused.
    pub adapter: bool,
    /// Whether a file that holds only a part of a model is opened as it is, with a note; otherwise the other parts are opened too, or it is
    /// refused.
    pub part: bool,
    /// Whether headers are enough: then of a large Hub file whose header stands in front no more is fetched than that.
    pub headers: bool,
}
