//! `--html` as a user sees it: one file that needs nothing else.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::support::command::{Folder, fixture, safetensors_file};

/// Fails where a page would load or run something.
#[track_caller]
fn stands_alone(page: &str) {
    for reference in ["src=", "href=", "@import", "url(", "<script", "<link", "<img", "<iframe"] {
        assert!(!page.contains(reference), "the page has {reference}");
    }
    let addresses = page.matches("http").count() - page.matches("http://www.w3.org/2000/svg").count();
    assert_eq!(addresses, 0, "the page names an address beside the namespace of SVG");
    assert!(page.starts_with("<!doctype html>") && page.contains("viewport") && page.contains("prefers-color-scheme"));
}

fn read(folder: &Folder, name: &str) -> String {
    std::fs::read_to_string(folder.path(name)).unwrap()
}

#[test]
fn the_page_of_a_transfer_names_every_new_tensor_and_is_the_same_every_time() {
    let folder = Folder::new();
    let (source, arch) = (fixture("tiny-bert"), fixture("ticket-router.json"));
    let command = ["init", "--from", &source, "--arch", &arch, "--out"];
    folder.xfer(&[&command[..], &["a/router", "--html", "a.html", "--report", "a.json"]].concat()).exits(0);
    folder.xfer(&[&command[..], &["b/router", "--html", "b.html", "--threads", "1"]].concat()).exits(0);
    let page = read(&folder, "a.html");
    stands_alone(&page);
    assert_eq!(page, read(&folder, "b.html"));
    for name in ["bert.pooler.dense.weight", "classifier.weight", "cls.predictions.bias", "93.6 %"] {
        assert!(page.contains(name), "{name}");
    }
    assert_eq!(read(&folder, "a.json"), read(&folder, "a/router/xfer.json"));
}

#[test]
fn names_of_strangers_are_text_and_never_markup() {
    let folder = Folder::new();
    let name = "<script>alert(1)</script>\"'&.weight";
    folder.write(
        "model.safetensors",
        safetensors_file(&[(name, &[2, 2], vec![1.0; 4]), ("b.weight", &[2], vec![0.0; 2])]),
    );
    let command = ["init", "--from", "model.safetensors", "--arch", "model.safetensors", "--out", "out"];
    folder.xfer(&[&command[..], &["--html", "page.html"]].concat()).exits(0);
    let page = read(&folder, "page.html");
    stands_alone(&page);
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"), "{page}");
}

#[test]
fn the_page_of_a_check_draws_every_layer_and_says_what_is_wrong() {
    let folder = Folder::new();
    let arch = fixture("digits/mlp30.json");
    let command = ["check", &arch, "--init", "xavier_normal", "--html", "page.html"];
    folder.xfer(&command).exits(4);
    let page = read(&folder, "page.html");
    stands_alone(&page);
    for text in ["<svg", "vanishing forward", "hidden.0.fc.weight", "hidden.28.fc.weight", "The model will not train"] {
        assert!(page.contains(text), "{text}");
    }
}

#[test]
fn the_page_of_a_comparison_draws_every_strategy_the_same_way_every_time() {
    let folder = Folder::new();
    let (arch, data) = (fixture("digits/mlp3.json"), fixture("digits/digits.npz"));
    let command = ["compare", "--arch", &arch, "--data", &data, "--epochs", "2", "--seeds", "2", "--html"];
    folder.xfer(&[&command[..], &["a.html"]].concat()).exits(0);
    folder.xfer(&[&command[..], &["b.html", "--threads", "1"]].concat()).exits(0);
    let page = read(&folder, "a.html");
    stands_alone(&page);
    assert_eq!(page, read(&folder, "b.html"));
    assert!(page.contains("<svg") && ["zeros", "xavier", "he", "lsuv"].iter().all(|name| page.contains(name)));
}
