//! The README speaks of files and tests that exist, and shows code as it is.

use std::fs;
use std::path::Path;

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn the_guide_to_families_links_to_families_that_are_small_tables() {
    let guide = "docs/adding-a-family.md";
    assert!(read("README.md").contains(&format!("]({guide})")), "README.md has no link to {guide}");
    for file in ["src/family/distilbert.rs", "src/family/llama/smollm3.rs"] {
        assert!(read(guide).contains(&format!("](../{file})")), "{guide} has no link to {file}");
        assert!(read(file).lines().count() < 70, "{file} is not a small family any more");
    }
}

/// The texts between backticks.
fn quoted(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

#[test]
fn every_guarantee_names_files_and_tests_that_exist() {
    let readme = read("README.md");
    let table = readme.split("## Guarantees").nth(1).unwrap().split("\n## ").next().unwrap();
    let (mut files, mut tests) = (0, 0);
    for row in table.lines().filter(|line| line.starts_with("| ") && !line.contains("| held by |")) {
        let (_, held) = row.trim_end_matches('|').rsplit_once(" | ").unwrap();
        let mut file = String::new();
        for name in quoted(held) {
            if name.contains('/') {
                assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join(name).exists(), "{name} does not exist");
                (file, files) = (name.to_string(), files + 1);
            } else {
                assert!(read(&file).contains(&format!("fn {name}(")), "{file} has no test {name}");
                tests += 1;
            }
        }
    }
    assert!(files > 30 && tests > 15, "{files} files and {tests} tests were read: is the reading broken?");
}
