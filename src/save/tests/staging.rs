use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::error::{Error, Exit};
use crate::save::error::SaveError;
use crate::save::place::OutputDirectory;
use crate::save::publish::Route;
use crate::save::{Replace, Staging, Sync, default_out};

const HASH: &str = "0123456789abcdef0123456789abcdef";
const OTHER: &str = "fedcba9876543210fedcba9876543210";
const FOLDER: &str = ".out.xfer-0123456789abcdef";

/// A parent directory and DIR in it.
fn parent() -> (TempDir, PathBuf) {
    let parent = TempDir::new().unwrap();
    let out = parent.path().join("out");
    (parent, out)
}

fn open(out: &Path) -> Staging {
    Staging::open(out, HASH, Replace::Refuse).unwrap()
}

fn refusal(out: &Path, replace: Replace) -> Error {
    Staging::open(out, HASH, replace).unwrap_err()
}

/// Writes a whole small output that says `content`.
fn fill(staging: &Staging, content: &str) {
    let file = staging.create("model.safetensors", content.len() as u64).unwrap();
    file.write_at(0, content.as_bytes()).unwrap();
    for name in ["config.json", "1_Pooling/config.json", "tokenizer.json"] {
        staging.write(name, content.as_bytes()).unwrap();
    }
    staging.write("xfer.json", b"{\"xfer\": \"0.1.0\"}").unwrap();
}

fn publish(out: &Path, content: &str, replace: Replace) {
    let staging = Staging::open(out, HASH, replace).unwrap();
    fill(&staging, content);
    staging.publish(Sync::Wait).unwrap();
}

/// Every file below a directory with its content.
fn tree(directory: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if entry.path().is_dir() {
            found.extend(tree(&entry.path()).into_iter().map(|(below, text)| (format!("{name}/{below}"), text)));
        } else {
            found.insert(name, fs::read_to_string(entry.path()).unwrap());
        }
    }
    found
}

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// DIR holds exactly an output that says `content`, and nothing is left beside it.
fn assert_published(out: &Path, content: &str) {
    let found = tree(out);
    let files: Vec<_> = found.keys().map(String::as_str).collect();
    assert_eq!(files, ["1_Pooling/config.json", "config.json", "model.safetensors", "tokenizer.json", "xfer.json"]);
    assert!(found.iter().all(|(name, text)| name == "xfer.json" || text == content), "{found:?}");
    assert_eq!(names(out.parent().unwrap()), ["out"]);
}

#[test]
fn an_output_appears_whole_where_nothing_or_an_empty_directory_stood() {
    let (_parent, out) = parent();
    let staging = open(&out);
    fill(&staging, "new");
    assert!(!out.exists());
    assert_eq!(staging.path().file_name().unwrap(), FOLDER);
    staging.publish(Sync::Wait).unwrap();
    assert_published(&out, "new");
    fs::remove_dir_all(&out).unwrap();
    fs::create_dir(&out).unwrap();
    publish(&out, "again", Replace::Refuse);
    assert_published(&out, "again");
}

#[test]
fn missing_parents_are_created_and_a_relative_path_of_one_component_will_do() {
    let (_parent, out) = parent();
    let deep = out.join("a/b/out");
    publish(&deep, "new", Replace::Refuse);
    assert_published(&deep, "new");
    let place = OutputDirectory::resolve(Path::new("no-such-directory-here")).unwrap();
    assert_eq!((place.home, place.stem.to_str()), (PathBuf::from("."), Some("no-such-directory-here")));
}

#[test]
fn files_and_directories_have_the_modes_that_the_umask_leaves() {
    let (parent, out) = parent();
    publish(&out, "new", Replace::Refuse);
    fs::create_dir(parent.path().join("plain")).unwrap();
    fs::write(parent.path().join("file"), b"").unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode();
    assert_eq!(mode(&out), mode(&parent.path().join("plain")));
    for name in ["model.safetensors", "config.json"] {
        assert_eq!(mode(&out.join(name)), mode(&parent.path().join("file")));
    }
}

#[test]
fn a_staging_that_is_dropped_removes_itself() {
    let (parent, out) = parent();
    let staging = open(&out);
    fill(&staging, "half");
    drop(staging);
    assert_eq!(names(parent.path()), Vec::<String>::new());
}

#[test]
fn a_second_writer_of_the_same_directory_is_told_to_come_back_whatever_its_plan() {
    let (_parent, out) = parent();
    let first = open(&out);
    fill(&first, "first");
    for hash in [HASH, OTHER] {
        let error = Staging::open(&out, hash, Replace::OwnOutput).unwrap_err();
        assert_eq!(error.exit(), Exit::Temporary);
        assert!(error.to_string().contains(FOLDER), "{error}");
    }
    first.publish(Sync::Skip).unwrap();
    assert_published(&out, "first");
}

#[test]
fn writers_of_directories_with_like_names_do_not_hinder_each_other() {
    let (parent, out) = parent();
    let first = open(&out);
    let others: Vec<_> = ["out.xfer-0", "o", "out2"].iter().map(|name| open(&parent.path().join(name))).collect();
    assert!(first.path().exists() && others.iter().all(|other| other.path().exists()));
}

#[test]
fn of_many_writers_at_once_each_publishes_whole_or_is_refused() {
    let (_parent, out) = parent();
    let write = |n: usize| {
        let hash = format!("{n:016x}");
        let staging = Staging::open(&out, &hash, Replace::OwnOutput)?;
        fill(&staging, &format!("writer {n}"));
        staging.publish(Sync::Skip)
    };
    let results: Vec<_> = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..8).map(|n| scope.spawn(move || write(n))).collect();
        writers.into_iter().map(|writer| writer.join().unwrap()).collect()
    });
    assert!(results.iter().any(Result::is_ok));
    for error in results.iter().filter_map(|result| result.as_ref().err()) {
        assert_eq!(error.exit(), Exit::Temporary, "{error}");
    }
    assert_published(&out, &fs::read_to_string(out.join("config.json")).unwrap());
}

#[test]
fn debris_of_dead_runs_is_reclaimed_whatever_their_plan_and_other_names_are_kept() {
    let (parent, out) = parent();
    for hash in [&HASH[..16], &OTHER[..16]] {
        let debris = parent.path().join(format!(".out.xfer-{hash}"));
        fs::create_dir_all(debris.join("deep")).unwrap();
        fs::write(debris.join(".xfer-lock"), b"").unwrap();
        fs::write(debris.join("deep/model.safetensors"), b"half").unwrap();
    }
    fs::write(parent.path().join(".out.xfer-gate"), b"").unwrap();
    let foreign = [".other.xfer-0123456789abcdef", ".out.xfer-notes"];
    for name in foreign {
        fs::create_dir(parent.path().join(name)).unwrap();
    }
    let staging = open(&out);
    assert_eq!(names(staging.path()), [".xfer-lock"]);
    drop(staging);
    assert_eq!(names(parent.path()), foreign);
}

#[test]
fn a_foreign_directory_is_refused_and_nothing_is_touched() {
    let (parent, out) = parent();
    for (file, text) in [("thesis.tex", "ten years"), ("xfer.json", "not json"), ("xfer.json", "{\"other\": 1}")] {
        fs::create_dir(&out).unwrap();
        fs::write(out.join(file), text).unwrap();
        for replace in [Replace::Refuse, Replace::OwnOutput] {
            let error = refusal(&out, replace);
            assert!(
                matches!(error.downcast_ref(), Some(SaveError::Foreign { example, .. }) if example == file),
                "{error}"
            );
            assert_eq!((error.exit(), error.hints().len()), (Exit::Input, 1));
        }
        assert_eq!((names(parent.path()), tree(&out)), (vec!["out".into()], [(file.into(), text.into())].into()));
        fs::remove_dir_all(&out).unwrap();
    }
}

#[test]
fn an_own_output_is_replaced_only_by_force() {
    let (_parent, out) = parent();
    publish(&out, "old", Replace::Refuse);
    let error = refusal(&out, Replace::Refuse);
    assert_eq!(error.exit(), Exit::Input);
    assert!(error.hints()[0].contains("--force"));
    fs::write(out.join("stale-00001-of-00002.safetensors"), b"stale").unwrap();
    let before = fs::metadata(&out).unwrap().ino();
    publish(&out, "new", Replace::OwnOutput);
    assert_published(&out, "new");
    assert_ne!(fs::metadata(&out).unwrap().ino(), before, "a directory that readers hold open keeps the old output");
}

#[test]
fn what_appeared_at_the_place_meanwhile_is_not_lost() {
    let (parent, out) = parent();
    let staging = open(&out);
    fill(&staging, "new");
    fs::create_dir(&out).unwrap();
    fs::write(out.join("thesis.tex"), b"ten years").unwrap();
    assert_eq!(staging.publish(Sync::Skip).unwrap_err().exit(), Exit::Input);
    assert_eq!((names(&out), names(parent.path())), (vec!["thesis.tex".into()], vec!["out".into()]));
}

#[test]
fn files_and_dead_links_in_the_way_are_refused_and_a_link_to_a_directory_is_followed() {
    let (parent, out) = parent();
    fs::write(&out, b"file").unwrap();
    assert!(matches!(refusal(&out, Replace::OwnOutput).downcast_ref(), Some(SaveError::NotADirectory { .. })));
    for below in [out.join("out"), out.join("a/b")] {
        assert!(matches!(refusal(&below, Replace::Refuse).downcast_ref(), Some(SaveError::NotADirectory { .. })));
    }
    fs::remove_file(&out).unwrap();
    let real = parent.path().join("elsewhere");
    symlink(&real, &out).unwrap();
    assert!(matches!(refusal(&out, Replace::Refuse).downcast_ref(), Some(SaveError::DanglingLink { .. })));
    fs::create_dir(&real).unwrap();
    publish(&out, "new", Replace::Refuse);
    assert!(fs::symlink_metadata(&out).unwrap().is_symlink());
    assert_eq!(fs::read_to_string(real.join("config.json")).unwrap(), "new");
    assert_eq!(names(parent.path()), ["elsewhere", "out"]);
}

#[test]
fn a_read_only_parent_is_an_error_with_its_path() {
    let (parent, out) = parent();
    let locked = parent.path().join("locked");
    fs::create_dir(&locked).unwrap();
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o555)).unwrap();
    // the superuser may write everywhere, and then there is nothing to see
    if fs::write(locked.join("probe"), b"").is_err() {
        let error = refusal(&locked.join("out"), Replace::Refuse);
        assert_eq!(error.exit(), Exit::Machine);
        assert!(error.to_string().contains("locked") && error.hints().len() == 1, "{error}");
    }
    assert!(!out.exists());
}

#[test]
fn where_directories_cannot_be_exchanged_the_old_one_steps_aside() {
    let (_parent, out) = parent();
    publish(&out, "old", Replace::Refuse);
    let staging = Staging::open(&out, HASH, Replace::OwnOutput).unwrap();
    fill(&staging, "new");
    staging.publish_by(Sync::Wait, Some(Route::Aside)).unwrap();
    assert_published(&out, "new");
}

#[test]
fn a_run_killed_while_the_old_output_was_aside_is_undone_or_finished_by_the_next() {
    let (parent, out) = parent();
    publish(&out, "old", Replace::Refuse);
    let aside = parent.path().join(".out.xfer-old");
    // killed after the first rename: the old one comes back
    fs::rename(&out, &aside).unwrap();
    let error = refusal(&out, Replace::Refuse);
    assert!(matches!(error.downcast_ref(), Some(SaveError::Exists { .. })), "{error}");
    assert_published(&out, "old");
    // killed after the second: the old one goes
    fs::rename(&out, &aside).unwrap();
    fs::create_dir(&out).unwrap();
    for (name, text) in tree(&aside) {
        fs::create_dir_all(out.join(&name).parent().unwrap()).unwrap();
        fs::write(out.join(&name), text.replace("old", "new")).unwrap();
    }
    refusal(&out, Replace::Refuse);
    assert_published(&out, "new");
}

/// DIR as it would be seen as a mount point. A real one needs privileges that a test does not have.
fn mounted(out: &Path) -> OutputDirectory {
    let mut place = OutputDirectory::resolve(out).unwrap();
    place.home = place.out.clone();
    place
}

fn publish_mounted(out: &Path, content: &str, replace: Replace) {
    let staging = Staging::open_at(mounted(out), HASH, replace).unwrap();
    assert_eq!(staging.path(), fs::canonicalize(out).unwrap().join(FOLDER));
    fill(&staging, content);
    staging.publish(Sync::Wait).unwrap();
}

#[test]
fn in_a_mount_point_the_output_is_staged_inside_and_replaced_in_place() {
    let (_parent, out) = parent();
    fs::create_dir(&out).unwrap();
    fs::create_dir(out.join("lost+found")).unwrap();
    let inode = fs::metadata(&out).unwrap().ino();
    publish_mounted(&out, "old", Replace::Refuse);
    fs::write(out.join("stale.safetensors"), b"stale").unwrap();
    let refused = Staging::open_at(mounted(&out), HASH, Replace::Refuse).unwrap_err();
    assert!(matches!(refused.downcast_ref(), Some(SaveError::Exists { .. })), "{refused}");
    publish_mounted(&out, "new", Replace::OwnOutput);
    assert_eq!(fs::metadata(&out).unwrap().ino(), inode);
    fs::remove_dir(out.join("lost+found")).unwrap();
    assert_published(&out, "new");
}

#[test]
fn a_second_writer_in_a_mount_point_is_refused_and_a_foreign_one_is_kept() {
    let (_parent, out) = parent();
    fs::create_dir(&out).unwrap();
    let first = Staging::open_at(mounted(&out), HASH, Replace::Refuse).unwrap();
    assert_eq!(Staging::open_at(mounted(&out), OTHER, Replace::Refuse).unwrap_err().exit(), Exit::Temporary);
    drop(first);
    fs::write(out.join("thesis.tex"), b"ten years").unwrap();
    let error = Staging::open_at(mounted(&out), HASH, Replace::OwnOutput).unwrap_err();
    assert!(matches!(error.downcast_ref(), Some(SaveError::Foreign { .. })), "{error}");
    assert_eq!(names(&out), ["thesis.tex"]);
}

/// The state of a mount point in which a run was killed after `steps` changes of its publication: the old output, and a complete
/// new one in the staging folder.
fn killed_in_place(out: &Path, steps: usize) {
    fs::create_dir(out).unwrap();
    publish_mounted(out, "old", Replace::Refuse);
    let staging = Staging::open_at(mounted(out), OTHER, Replace::OwnOutput).unwrap();
    fill(&staging, "new");
    let folder = staging.path().to_path_buf();
    std::mem::forget(staging);
    let old = ["xfer.json", "config.json", "tokenizer.json", "1_Pooling/config.json", "1_Pooling", "model.safetensors"];
    let new = ["model.safetensors", "1_Pooling", "tokenizer.json", "config.json", "xfer.json"];
    let mut changes: Vec<Box<dyn Fn()>> = vec![Box::new(|| fs::write(folder.join(".xfer-clear"), b"").unwrap())];
    let remove = |path: PathBuf| if path.is_dir() { fs::remove_dir(path) } else { fs::remove_file(path) };
    changes.extend(old.map(|name| Box::new(move || remove(out.join(name)).unwrap()) as Box<dyn Fn()>));
    changes.push(Box::new(|| fs::rename(folder.join(".xfer-clear"), folder.join(".xfer-move")).unwrap()));
    let folder = &folder;
    changes.extend(
        new.map(|name| Box::new(move || fs::rename(folder.join(name), out.join(name)).unwrap()) as Box<dyn Fn()>),
    );
    assert!(steps <= changes.len());
    changes.iter().take(steps).for_each(|change| change());
    // the lock of a killed process is free
    fs::remove_file(folder.join(".xfer-lock")).unwrap();
}

#[test]
fn a_run_killed_anywhere_in_a_mount_point_is_finished_by_the_next_or_has_changed_nothing() {
    for steps in 0..=13 {
        let (_parent, out) = parent();
        killed_in_place(&out, steps);
        let config = fs::read_to_string(out.join("config.json")).ok();
        if let Some(config) = config {
            assert_eq!(fs::read_to_string(out.join("model.safetensors")).unwrap(), config, "step {steps}: config last");
        }
        let error = Staging::open_at(mounted(&out), HASH, Replace::Refuse).unwrap_err();
        assert!(matches!(error.downcast_ref(), Some(SaveError::Exists { .. })), "step {steps}: {error}");
        if steps == 0 {
            // not begun: the old output stands, the debris goes with the next run that may write
            publish_mounted(&out, "new", Replace::OwnOutput);
        }
        assert_published(&out, "new");
    }
}

#[test]
fn names_that_lead_out_of_the_output_or_are_kept_for_xfer_are_refused() {
    let (_parent, out) = parent();
    let staging = open(&out);
    for name in ["", "../x", "/x", "a/../../x", ".xfer-lock", "a\0b", "."] {
        let error = staging.write(name, b"").unwrap_err();
        assert!(matches!(error.downcast_ref(), Some(SaveError::UnsafeName { .. })), "{name}: {error}");
        assert!(staging.create(name, 1).is_err());
    }
    staging.write("twice", b"1").unwrap();
    assert!(staging.write("twice", b"2").unwrap_err().to_string().contains("twice"));
}

#[test]
fn a_file_has_its_length_from_the_first_and_takes_bytes_at_any_offset_from_any_thread() {
    let (_parent, out) = parent();
    let staging = open(&out);
    let file = staging.create("model.safetensors", 4000).unwrap();
    assert_eq!(fs::metadata(staging.path().join("model.safetensors")).unwrap().len(), 4000);
    std::thread::scope(|scope| {
        for n in (0..4u8).rev() {
            let file = &file;
            scope.spawn(move || file.write_at(u64::from(n) * 1000, &[n; 1000]).unwrap());
        }
    });
    let mut read = [9; 2000];
    file.read_at(1500, &mut read).unwrap();
    assert_eq!((read[0], read[500], read[1500]), (1, 2, 3));
    for offset in [3999, 4000, u64::MAX] {
        assert!(matches!(
            file.write_at(offset, &[0; 2]).as_ref().err().and_then(Error::downcast_ref),
            Some(SaveError::BeyondEnd { .. })
        ));
        assert!(file.read_at(offset, &mut [0; 2]).is_err());
    }
    staging.create("empty", 0).unwrap().write_at(0, &[]).unwrap();
}

#[test]
fn a_disk_that_is_too_full_is_found_out_before_anything_is_written() {
    let (_parent, out) = parent();
    let staging = open(&out);
    let error = staging.create("model.safetensors", 1 << 60).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("out/model.safetensors") && !text.contains(".xfer-"), "{text}");
    assert!(text.contains("1152921504606846976 bytes"), "{text}");
    assert_eq!((error.exit(), error.hints().len()), (Exit::Machine, 1));
}

#[test]
fn without_out_the_stem_of_the_architecture_file_is_the_directory() {
    let (parent, directory) = parent();
    for name in ["my.json", "config.json", "listing.v2.json", "bare"] {
        fs::write(parent.path().join(name), b"{}").unwrap();
    }
    fs::create_dir(&directory).unwrap();
    let at = |name: &str| default_out(&parent.path().join(name));
    assert_eq!(at("my.json"), Some(PathBuf::from("my")));
    assert_eq!(at("listing.v2.json"), Some(PathBuf::from("listing.v2")));
    for required in ["config.json", "out", "bare", "missing.json"] {
        assert_eq!(at(required), None, "{required}");
    }
    assert_eq!(default_out(Path::new("google-bert/bert-base-uncased")), None);
}
