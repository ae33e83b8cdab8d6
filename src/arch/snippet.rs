//! Code for other frameworks that writes a listing of a model there.

use crate::arch::error::ArchError;
use crate::error::Result;

const SNIPPETS: &[(&str, &str)] = &[("torch", include_str!("snippets/torch.py"))];

/// The lines of Python that write a listing from any `nn.Module` (`--snippet torch`), or an error that lists the frameworks.
pub fn snippet(framework: &str) -> Result<&'static str> {
    let found = SNIPPETS.iter().find(|(name, _)| *name == framework).map(|(_, text)| *text);
    let known = || SNIPPETS.iter().map(|(name, _)| *name).collect();
    found.ok_or_else(|| ArchError::UnknownFramework { framework: framework.to_string(), known: known() }.into())
}
