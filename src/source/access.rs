//! How to reach the Hub, read once from flags and environment, as huggingface_hub's `constants.py` and `_auth.py` read it.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::local::read_local;
use super::reference::expand_home;
use crate::error::Result;
use crate::source::error::SourceError;

/// The longest file of a token.
const LONGEST_TOKEN: u64 = 1 << 16;

/// How to reach the Hub: flags over environment over defaults.
#[derive(Clone)]
pub struct Access {
    /// `HF_ENDPOINT`, without a trailing slash.
    pub endpoint: String,
    /// `HF_TOKEN` or its file; sent to the endpoint's origin alone.
    pub token: Option<String>,
    /// The cache's `hub` directory; empty where neither a variable nor a home directory says where it is.
    pub cache: PathBuf,
    /// `--offline` or `HF_HUB_OFFLINE`.
    pub offline: bool,
    /// `--revision`.
    pub revision: Option<String>,
    /// `SSL_CERT_FILE`: the roots to believe in place of the built-in ones, in PEM.
    pub certificates: Option<PathBuf>,
    /// How long to wait, and how often to try again.
    pub patience: Patience,
}

/// How long to wait for a server, and how often to try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// For a connection, and then for the head of an answer (`HF_HUB_ETAG_TIMEOUT`).
    pub answer: Duration,
    /// For the next bytes of a body (`HF_HUB_DOWNLOAD_TIMEOUT`).
    pub read: Duration,
    /// How many times a request is sent before it has failed.
    pub attempts: u32,
    /// Before the second attempt; doubled before each further one.
    pub pause: Duration,
    /// The longest `Retry-After` that is obeyed; a server that asks for more has failed.
    pub longest_pause: Duration,
}

impl Default for Patience {
    /// 10 seconds for each wait, five attempts, pauses of 0.5, 1, 2 and 4 seconds.
    fn default() -> Patience {
        Patience {
            answer: Duration::from_secs(10),
            read: Duration::from_secs(10),
            attempts: 5,
            pause: Duration::from_millis(500),
            longest_pause: Duration::from_secs(60),
        }
    }
}

impl fmt::Debug for Access {
    /// Everything but the token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Access { endpoint, token, cache, offline, revision, certificates, patience } = self;
        f.debug_struct("Access")
            .field("endpoint", endpoint)
            .field("token", &token.as_ref().map(|_| "…"))
            .field("cache", cache)
            .field("offline", offline)
            .field("revision", revision)
            .field("certificates", certificates)
            .field("patience", patience)
            .finish()
    }
}

impl Access {
    /// Reads `HF_HOME`, `HF_HUB_CACHE`, `HF_ENDPOINT`, `HF_TOKEN`, `HF_TOKEN_PATH`, `HF_HUB_OFFLINE`, their older
    /// names, the time-outs and `SSL_CERT_FILE`; the arguments are the flags. An endpoint that is not a `http://` or `https://` address is an error.
    pub fn from_environment(cache_dir: Option<PathBuf>, offline: bool, revision: Option<String>) -> Result<Access> {
        Access::from_variables(&|name| std::env::var_os(name), cache_dir, offline, revision)
    }

    pub(super) fn from_variables(
        variable: &dyn Fn(&str) -> Option<OsString>,
        cache_dir: Option<PathBuf>,
        offline: bool,
        revision: Option<String>,
    ) -> Result<Access> {
        let environment = Environment { variable };
        let home = environment.hugging_face_home();
        Ok(Access {
            endpoint: environment.endpoint()?,
            token: environment.token(home.as_ref())?,
            cache: cache_dir.or_else(|| environment.cache(home.as_ref())).unwrap_or_default(),
            offline: offline || environment.offline(),
            revision,
            certificates: environment.path(&["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"]),
            patience: environment.patience(),
        })
    }
}

/// The environment, through a function so that tests need not change the process's own.
struct Environment<'a> {
    variable: &'a dyn Fn(&str) -> Option<OsString>,
}

impl Environment<'_> {
    /// The first of the variables that is set and not empty.
    fn text(&self, names: &[&str]) -> Option<String> {
        names
            .iter()
            .filter_map(|name| (self.variable)(name))
            .map(|value| value.to_string_lossy().trim().to_string())
            .find(|value| !value.is_empty())
    }

    fn path(&self, names: &[&str]) -> Option<PathBuf> {
        let value = names.iter().filter_map(|name| (self.variable)(name)).find(|value| !value.is_empty())?;
        Some(match value.to_str() {
            Some(text) => expand_home(text),
            None => PathBuf::from(value),
        })
    }

    fn is_true(&self, names: &[&str]) -> bool {
        let value = self.text(names).map(|value| value.to_ascii_uppercase());
        value.is_some_and(|value| ["1", "ON", "YES", "TRUE"].contains(&value.as_str()))
    }

    fn hugging_face_home(&self) -> Option<PathBuf> {
        self.path(&["HF_HOME"])
            .or_else(|| self.path(&["XDG_CACHE_HOME"]).map(|cache| cache.join("huggingface")))
            .or_else(|| self.path(&["HOME"]).map(|home| home.join(".cache/huggingface")))
            .or_else(|| std::env::home_dir().map(|home| home.join(".cache/huggingface")))
    }

    fn cache(&self, home: Option<&PathBuf>) -> Option<PathBuf> {
        self.path(&["HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"]).or_else(|| home.map(|home| home.join("hub")))
    }

    fn endpoint(&self) -> Result<String> {
        let Some(endpoint) = self.text(&["HF_ENDPOINT"]) else { return Ok("https://huggingface.co".into()) };
        let address = endpoint.trim_end_matches('/');
        let uri = address.parse::<ureq::http::Uri>().ok();
        let is_web = uri.is_some_and(|uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.query().is_none());
        if is_web { Ok(address.to_string()) } else { Err(SourceError::BadEndpoint { endpoint }.into()) }
    }

    /// A token that no header can carry is an error; a file that cannot be read is not a token.
    fn token(&self, home: Option<&PathBuf>) -> Result<Option<String>> {
        if self.is_true(&["HF_HUB_DISABLE_IMPLICIT_TOKEN"]) {
            return Ok(None);
        }
        let file = || {
            self.path(&["HF_TOKEN_PATH"]).or_else(|| home.map(|home| hf_hub::Cache::new(home.join("hub")).token_path()))
        };
        let stored = || file().and_then(|path| String::from_utf8(read_local(&path, LONGEST_TOKEN).ok()?).ok());
        let token = self.text(&["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"]).or_else(stored);
        let token = token.map(|token| token.trim().to_string()).filter(|token| !token.is_empty());
        match token {
            Some(token) if !token.bytes().all(|byte| byte.is_ascii_graphic()) => Err(SourceError::BadToken.into()),
            token => Ok(token),
        }
    }

    fn offline(&self) -> bool {
        self.is_true(&["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"])
    }

    fn patience(&self) -> Patience {
        let seconds = |name, default| {
            let value = self.text(&[name]).and_then(|text| text.parse().ok()).filter(|seconds| *seconds > 0);
            value.map_or(default, Duration::from_secs)
        };
        let default = Patience::default();
        Patience {
            answer: seconds("HF_HUB_ETAG_TIMEOUT", default.answer),
            read: seconds("HF_HUB_DOWNLOAD_TIMEOUT", default.read),
            ..default
        }
    }
}
