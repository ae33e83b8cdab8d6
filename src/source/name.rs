//! Names below a source, which come from indices, listings and answers of servers, and are not to be trusted.

/// Whether `name` is a relative path of ordinary components: not empty, not absolute, no `.` or `..`, no NUL.
pub(crate) fn stays_inside(name: &str) -> bool {
    !name.contains('\0') && name.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

/// The bytes of `text` outside `A-Za-z0-9-._~` as `%XX`; `/` is kept where it separates.
pub(crate) fn percent_encoded(text: &str, keep_slash: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            b'/' if keep_slash => out.push('/'),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}
