//! Whom to believe that a host is who it says: Mozilla's roots, or those of a file, as behind a proxy that looks inside.

use std::path::Path;

use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};

use super::local::read_local;
use crate::error::Result;
use crate::source::error::SourceError;

/// The longest file of certificates.
const LONGEST: u64 = 64 << 20;

/// The roots of `file`, or the built-in ones without it; a file without a certificate is an error.
pub(super) fn trust(file: Option<&Path>) -> Result<TlsConfig> {
    let roots = match file {
        Some(path) => RootCerts::new_with_certs(&certificates(path)?),
        None => RootCerts::WebPki,
    };
    Ok(TlsConfig::builder().root_certs(roots).build())
}

fn certificates(path: &Path) -> Result<Vec<Certificate<'static>>> {
    let text = read_local(path, LONGEST)?;
    let items = parse_pem(&text).filter_map(|item| match item {
        Ok(PemItem::Certificate(certificate)) => Some(certificate),
        _ => None,
    });
    let certificates: Vec<_> = items.collect();
    if certificates.is_empty() {
        return Err(SourceError::NoCertificate { path: path.to_path_buf() }.into());
    }
    Ok(certificates)
}
