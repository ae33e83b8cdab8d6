use std::path::PathBuf;

use xfer::error::{Exit, Fault};

/// An option names no place that can be written to.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    #[error("--out is missing, and {arch} is not a file whose name could serve")]
    NoOut { arch: String },
    #[error("{flag} {}: {}", path.display(), if path.is_dir() { "it is a directory" } else { "its folder does not exist" })]
    NoFolder { flag: &'static str, path: PathBuf },
}

impl Fault for OutputError {
    fn exit(&self) -> Exit {
        match self {
            OutputError::NoOut { .. } => Exit::Usage,
            OutputError::NoFolder { .. } => Exit::Input,
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            OutputError::NoOut { .. } => vec!["--out DIR".into()],
            OutputError::NoFolder { path, .. } if path.is_dir() => Vec::new(),
            OutputError::NoFolder { path, .. } => {
                path.parent().map(|folder| format!("mkdir -p {}", folder.display())).into_iter().collect()
            }
        }
    }
}
