use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use super::*;
use crate::error::{Error, Exit};
use crate::progress::Silent;

fn hub(repository: &str, revision: Option<&str>, file: Option<&str>) -> Reference {
    let text = |text: &str| text.to_string();
    Reference::Hub { repository: text(repository), revision: revision.map(text), file: file.map(text) }
}

fn access(variables: &[(&str, &str)]) -> Access {
    try_access(variables).unwrap()
}

fn try_access(variables: &[(&str, &str)]) -> Result<Access> {
    let variables: BTreeMap<&str, &str> = variables.iter().copied().collect();
    Access::from_variables(&|name| variables.get(name).map(OsString::from), None, false, None)
}

fn source_error(result: Result<impl Sized>) -> SourceError {
    match result {
        Err(error) => error.downcast().unwrap_or_else(|other| panic!("not a source error: {other}")),
        Ok(_) => panic!("no error"),
    }
}

fn write(folder: &std::path::Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, bytes).unwrap();
    path
}

#[test]
fn every_spelling_of_a_repository_parses_to_the_same_parts() {
    for (text, expected) in [
        ("acme/toy", hub("acme/toy", None, None)),
        ("acme/toy@v1.0", hub("acme/toy", Some("v1.0"), None)),
        ("acme/toy@refs/pr/7", hub("acme/toy", Some("refs/pr/7"), None)),
        ("acme/toy@feature/x", hub("acme/toy", Some("feature/x"), None)),
        ("hf://acme/toy", hub("acme/toy", None, None)),
        ("hf://models/acme/toy", hub("acme/toy", None, None)),
        ("hf://acme/toy/", hub("acme/toy", None, None)),
        ("hf://acme/toy@v1", hub("acme/toy", Some("v1"), None)),
        ("hf://acme/toy@v1/sub/x.bin", hub("acme/toy", Some("v1"), Some("sub/x.bin"))),
        ("hf://acme/toy/sub/x@2.bin", hub("acme/toy", None, Some("sub/x@2.bin"))),
        ("hf://acme/toy@refs/pr/7/x.bin", hub("acme/toy", Some("refs/pr/7"), Some("x.bin"))),
        ("hf://acme/toy@a%2Fb/x.bin", hub("acme/toy", Some("a/b"), Some("x.bin"))),
        ("https://huggingface.co/acme/toy", hub("acme/toy", None, None)),
        ("https://huggingface.co/acme/toy/tree/v1", hub("acme/toy", Some("v1"), None)),
        ("https://hf.co/acme/toy/blob/main/x.bin?download=true", hub("acme/toy", Some("main"), Some("x.bin"))),
        ("bert-base", hub("google-bert/bert-base-uncased", None, None)),
        ("bert-base@v2", hub("google-bert/bert-base-uncased", Some("v2"), None)),
    ] {
        assert_eq!(Reference::parse(text).unwrap(), expected, "{text}");
    }
    assert_eq!(Reference::parse("none").unwrap(), Reference::None);
}

#[test]
fn a_reference_that_breaks_the_grammar_is_a_wrong_command_line() {
    for text in [
        "acme/toy@", "acme/toy@../x", "acme/toy@a b", "acme/to--y", "acme/-toy", "acme/toy.git", "hf://", "hf://toy",
        "hf://datasets/acme/toy", "hf://acme/toy@/x", "hf://acme/toy/../x", "hf://acme/toy//x",
        "https://huggingface.co/acme/toy/discussions/1", "acme/töy",
    ] {
        let error = source_error(Reference::parse(text));
        assert!(matches!(error, SourceError::Malformed { .. }), "{text}: {error}");
        assert_eq!(Error::from(error).exit(), Exit::Usage, "{text}");
    }
}

#[test]
fn an_unknown_word_names_the_nearest_aliases() {
    let error = source_error(Reference::parse("bert-bse"));
    let SourceError::UnknownName { name, near } = &error else { panic!("{error}") };
    assert_eq!(name, "bert-bse");
    assert_eq!(near.first(), Some(&"bert-base"));
    let error = Error::from(error);
    assert_eq!(error.exit(), Exit::Source);
    assert!(error.hints()[0].contains("bert-base"));
    let error = source_error(Reference::parse("zzzzzz"));
    assert!(matches!(&error, SourceError::UnknownName { near, .. } if near.is_empty()), "{error:?}");
}

#[test]
fn a_word_that_looks_like_a_path_is_never_asked_of_the_hub() {
    for text in ["./x", "../x", "/no/such", "~/no-such-x", "runs/1/model", "model.safetensors", "runs/model.pt", "x/"] {
        let error = source_error(Reference::parse(text));
        assert!(matches!(error, SourceError::MissingPath { .. }), "{text}: {error}");
        assert_eq!(Error::from(error).exit(), Exit::Source, "{text}");
    }
}

#[test]
fn an_existing_path_wins_over_a_repository() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(folder.path(), "acme/toy@v1", b"x");
    assert_eq!(Reference::parse(path.to_str().unwrap()).unwrap(), Reference::Path(path));
    // the tests run in the crate's root, where `src/source` stands
    assert_eq!(Reference::parse("src/source").unwrap(), Reference::Path("src/source".into()));
}

#[test]
fn every_alias_is_sorted_and_stands_for_a_repository_and_no_alias_is_a_path() {
    let table: Vec<_> = aliases().collect();
    assert!(table.len() >= 25);
    assert!(table.is_sorted_by(|a, b| a.0 < b.0), "unsorted or twice");
    for (alias, repository) in table {
        assert_eq!(Reference::parse(alias).unwrap(), hub(repository, None, None));
        assert_eq!(Reference::parse(repository).unwrap(), hub(repository, None, None));
    }
}

#[test]
fn the_cache_is_where_huggingface_hub_has_it() {
    let cache = |variables: &[(&str, &str)]| access(variables).cache.to_str().unwrap().to_string();
    assert_eq!(cache(&[("HOME", "/h")]), "/h/.cache/huggingface/hub");
    assert_eq!(cache(&[("HOME", "/h"), ("XDG_CACHE_HOME", "/c")]), "/c/huggingface/hub");
    assert_eq!(cache(&[("XDG_CACHE_HOME", "/c"), ("HF_HOME", "/hf")]), "/hf/hub");
    assert_eq!(cache(&[("HF_HOME", "/hf"), ("HUGGINGFACE_HUB_CACHE", "/old")]), "/old");
    assert_eq!(cache(&[("HUGGINGFACE_HUB_CACHE", "/old"), ("HF_HUB_CACHE", "/new")]), "/new");
    assert_eq!(cache(&[("HF_HOME", ""), ("HOME", "/h")]), "/h/.cache/huggingface/hub");
    let flag = Access::from_variables(&|_| Some("/env".into()), Some("/flag".into()), false, None);
    assert!(flag.is_err(), "`/env` is not an endpoint");
    let flag = Access::from_variables(
        &|name| (name == "HF_HUB_CACHE").then(|| "/x".into()),
        Some("/flag".into()),
        false,
        None,
    );
    assert_eq!(flag.unwrap().cache, PathBuf::from("/flag"));
}

#[test]
fn the_token_comes_from_the_variable_before_the_file_and_an_empty_one_is_none() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "token", b"hf_home\n");
    let path = write(folder.path(), "elsewhere", b"hf_elsewhere\n");
    let home = folder.path().to_str().unwrap();
    let token = |variables: &[(&str, &str)]| access(variables).token;
    assert_eq!(token(&[("HF_HOME", home)]).as_deref(), Some("hf_home"));
    assert_eq!(token(&[("HF_HOME", home), ("HF_TOKEN", " ")]).as_deref(), Some("hf_home"));
    assert_eq!(token(&[("HF_HOME", home), ("HF_TOKEN", "hf_env")]).as_deref(), Some("hf_env"));
    assert_eq!(token(&[("HF_HOME", home), ("HF_TOKEN_PATH", path.to_str().unwrap())]).as_deref(), Some("hf_elsewhere"));
    assert_eq!(token(&[("HF_HOME", "/no/such")]), None);
    assert_eq!(token(&[("HF_HOME", home), ("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")]), None);
    assert!(matches!(source_error(try_access(&[("HF_TOKEN", "a\nb")])), SourceError::BadToken));
}

#[test]
fn the_token_does_not_show_in_debug_output() {
    assert!(!format!("{:?}", access(&[("HF_TOKEN", "hf_secret")])).contains("secret"));
}

#[test]
fn the_endpoint_is_an_address_without_a_trailing_slash() {
    assert_eq!(access(&[]).endpoint, "https://huggingface.co");
    assert_eq!(access(&[("HF_ENDPOINT", "http://127.0.0.1:80/hf//")]).endpoint, "http://127.0.0.1:80/hf");
    for endpoint in ["huggingface.co", "ftp://x", "file:///x", "http://", "http://x/?q"] {
        let error = source_error(try_access(&[("HF_ENDPOINT", endpoint)]));
        assert!(matches!(error, SourceError::BadEndpoint { .. }), "{endpoint}");
    }
}

#[test]
fn offline_is_what_huggingface_hub_takes_for_true() {
    let offline = |variables: &[(&str, &str)]| access(variables).offline;
    assert!(!offline(&[]));
    for (value, expected) in [("1", true), ("on", true), ("Yes", true), ("true", true), ("0", false), ("2", false)] {
        assert_eq!(offline(&[("HF_HUB_OFFLINE", value)]), expected, "{value}");
    }
    assert!(offline(&[("TRANSFORMERS_OFFLINE", "1")]));
    assert!(!offline(&[("HF_HUB_OFFLINE", "0"), ("TRANSFORMERS_OFFLINE", "1")]));
    assert!(Access::from_variables(&|_| None, None, true, None).unwrap().offline);
}

#[test]
fn a_directory_lists_its_files_sorted_and_passes_over_hidden_folders() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["model.safetensors", "1_Pooling/config.json", "config.json", ".git/objects/x", "b/a", "b.a"] {
        write(folder.path(), name, b"x");
    }
    std::os::unix::fs::symlink("config.json", folder.path().join("link.json")).unwrap();
    std::os::unix::fs::symlink("nowhere", folder.path().join("dangling")).unwrap();
    std::os::unix::fs::symlink(".", folder.path().join("circle")).unwrap();
    let source = open(folder.path());
    let names = ["1_Pooling/config.json", "b.a", "b/a", "config.json", "link.json", "model.safetensors"];
    assert_eq!(source.names(), names);
    assert!(!source.is_single_file());
    assert_eq!(source.read("1_Pooling/config.json", 1, &Silent).unwrap(), b"x");
    assert!(matches!(source_error(source.file("dangling", &Silent)), SourceError::DanglingLink { .. }));
    assert!(matches!(source_error(source.file("b", &Silent)), SourceError::NotAFile { .. }));
}

fn open(path: &std::path::Path) -> Source {
    Source::open(&Reference::Path(path.to_path_buf()), &access(&[]), &Silent).unwrap()
}

#[test]
fn one_file_lists_itself_and_reaches_its_siblings() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(folder.path(), "weights.bin", b"weights");
    write(folder.path(), "config.json", b"{}");
    let source = open(&path);
    assert!(source.is_single_file());
    assert_eq!((source.label(), source.commit()), ("weights.bin", None));
    assert_eq!(source.names(), ["weights.bin"]);
    assert_eq!(source.read("config.json", 10, &Silent).unwrap(), b"{}");
    assert_eq!(source.etag("weights.bin"), None);
}

#[test]
fn a_name_that_leaves_the_source_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "secret", b"x");
    write(folder.path(), "model/config.json", b"{}");
    let source = open(&folder.path().join("model"));
    for name in ["../secret", "/etc/passwd", "a/../../secret", "./config.json", "", "a//b", "config.json/", "x\0"] {
        let error = source_error(source.file(name, &Silent));
        assert!(matches!(error, SourceError::Outside { .. }), "{name:?}: {error}");
        assert_eq!(Error::from(error).exit(), Exit::Input);
    }
}

#[test]
fn a_missing_file_names_the_nearest() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "config.json", b"{}");
    let error = Error::from(source_error(open(folder.path()).file("confg.json", &Silent)));
    assert_eq!(error.exit(), Exit::Source);
    assert!(error.hints()[0].contains("config.json"), "{:?}", error.hints());
}

#[test]
fn reading_past_the_end_says_where_the_file_ends() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(folder.path(), "x.bin", b"0123456789");
    let file = open(&path).file("x.bin", &Silent).unwrap();
    assert_eq!((file.len(), file.name()), (10, "x.bin"));
    let mut out = [0; 4];
    file.read_at(6, &mut out).unwrap();
    assert_eq!(&out, b"6789");
    file.read_at(10, &mut []).unwrap();
    for (offset, wanted) in [(7, 4), (10, 1), (u64::MAX, 4)] {
        match source_error(file.read_at(offset, &mut vec![0; wanted])) {
            SourceError::Short { file, offset: at, wanted: w, bytes } => {
                assert_eq!((file.as_str(), at, w, bytes), ("x.bin", offset, wanted as u64, 10));
            }
            error => panic!("{error}"),
        }
    }
    std::fs::write(&path, b"0123").unwrap();
    let error = source_error(file.read_at(0, &mut [0; 8]));
    assert!(matches!(error, SourceError::Short { bytes: 4, .. }), "cut after it was opened: {error}");
}

#[test]
fn a_file_that_is_longer_than_the_limit_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "config.json", b"0123456789");
    let source = open(folder.path());
    assert_eq!(source.read("config.json", 10, &Silent).unwrap().len(), 10);
    let error = source_error(source.read("config.json", 9, &Silent));
    assert!(matches!(error, SourceError::TooLong { limit: 9, bytes: 10, .. }), "{error}");
}

#[test]
fn none_and_a_missing_path_are_no_sources() {
    assert!(matches!(source_error(Source::open(&Reference::None, &access(&[]), &Silent)), SourceError::NoSource));
    let missing = Source::open(&Reference::Path("/no/such".into()), &access(&[]), &Silent);
    assert!(matches!(source_error(missing), SourceError::MissingPath { .. }));
}

#[test]
fn an_origin_is_scheme_and_host_and_port() {
    let address = |text: &str| address::Address::parse(text).unwrap();
    let endpoint = address("https://hub.example");
    for (text, same) in [
        ("https://hub.example/x?y", true),
        ("https://HUB.example:443/x", true),
        ("http://hub.example/x", false),
        ("http://hub.example:443/x", false),
        ("https://hub.example:8443/x", false),
        ("https://cdn.hub.example/x", false),
        ("https://hub.example.evil/x", false),
        ("https://hub.example@evil/x", false),
        ("https://hub.example:x@evil/x", false),
    ] {
        assert_eq!(address(text).same_origin(&endpoint), same, "{text}");
    }
}

#[test]
fn a_location_is_read_against_the_address_that_gave_it() {
    let at = address::Address::parse("https://hub.example:8443/a/b?c").unwrap();
    for (location, expected) in [
        ("https://cdn.example/x?y=/z", Some("https://cdn.example/x?y=/z")),
        ("//cdn.example/x", Some("https://cdn.example/x")),
        ("/x/y?u=https://z", Some("https://hub.example:8443/x/y?u=https://z")),
        ("x", Some("https://hub.example:8443/a/x")),
        ("ftp://cdn.example/x", None),
        ("https://", None),
        ("https:///x", None),
        ("a b", None),
    ] {
        assert_eq!(at.join(location).as_ref().map(|to| to.as_str()), expected, "{location}");
    }
    let bare = address::Address::parse("https://hub.example").unwrap();
    assert_eq!(bare.join("x").unwrap().as_str(), "https://hub.example/x");
}

#[test]
fn certificates_come_from_the_file_that_the_environment_names() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(folder.path(), "roots.pem", b"no certificate");
    assert_eq!(access(&[]).certificates, None);
    let access = access(&[("SSL_CERT_FILE", path.to_str().unwrap()), ("HOME", "/h")]);
    assert_eq!(access.certificates, Some(path));
    let error = source_error(Source::open(&hub("acme/toy", None, None), &access, &Silent));
    assert!(matches!(error, SourceError::NoCertificate { .. }), "{error}");
}
